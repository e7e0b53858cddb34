import ActivityMonitoring
import Foundation
import HTTPServing
import SystemIO
import TraceMetrics
import TraceModel

/// What workers, the router and the supervisor have written into files about processes that do not stay up.
struct ProcessFiles: Sendable {
    /// Reasons of workers that a restart does not help.
    var lost: [WorkerName: String] = [:]
    /// Ends that a supervisor has recorded, by process name; absent where none records them.
    var ends: [String: ProcessEnds] = [:]
    /// Why the router waits for an operator; nil if it does not.
    var routerLost: String?
    /// Nil if the cluster has no console.
    var console: ConsoleState?

    /// Nil if the cluster has no HAProxy.
    var edge: EdgeState?

    /// Reads the files of the router, the aggregator, these workers, the console and HAProxy where there are some. Blocks.
    static func read(
        of workers: Set<WorkerName>,
        console: ServingAddress?,
        hasEdge: Bool
    ) -> ProcessFiles {
        var files = ProcessFiles()
        for worker in workers { files.lost[worker] = line(ClusterPaths.lost(of: worker)) }
        var processes = MetricSnapshot.singletons.union(workers.map(\.description))
        if console != nil { processes.insert(MetricSnapshot.console) }
        if hasEdge { processes.insert(MetricSnapshot.edge) }
        for process in processes {
            files.ends[process] = text(ClusterPaths.ends(of: process)).map {
                ProcessEnds(parsing: $0)
            }
        }
        files.console = console.map(ConsoleState.current)
        files.edge = hasEdge ? EdgeState.current() : nil
        files.routerLost = line(ClusterPaths.routerLost)
        return files
    }

    private static func line(_ path: String) -> String? {
        text(path)?.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func text(_ path: String) -> String? {
        (try? FileSystem.contents(path)).map { String(decoding: $0, as: UTF8.self) }
    }
}
