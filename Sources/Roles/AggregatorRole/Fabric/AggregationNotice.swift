import ActivityMonitoring
import Logging
import TraceFiles
import TraceMetrics
import TraceModel

/// Something that `AggregationState` reports to the operator.
enum AggregationNotice: Sendable {
    case refused(sender: String, TraceError)
    case connected(process: String)
    case silent(ClusterMember, seconds: Int)
    case heardAgain(ClusterMember, seconds: Int)
    /// A process keeps ending, or waits for an operator.
    case unstable(process: String, RecentEnds)
    /// The console has ended or come back.
    case console(ConsoleState)
    /// The process that runs HAProxy has ended or come back.
    case edge(EdgeState)
    case merged(MergeJob, files: Int, seconds: Double)
    /// A window was published without the rows of a segment.
    case lost(SegmentLoss, MergeJob)
    /// A window was published with segments that were made again.
    case rebuilt(MergeJob.Repair.Rebuilt, MergeJob)
    case mergeFailed(MergeJob, reason: String)
    /// Two workers announced the same records, which is caused by a bug.
    case overlap(Resource, place: String)

    /// Writes the notice to the log.
    func log(to log: Logger) {
        switch self {
        case .refused(let sender, let error):
            log.warning(
                "a message was refused",
                metadata: ["from": "\(sender)", "why": "\(error)"]
            )
        case .connected(let process):
            log.info("connected", metadata: ["process": "\(process)"])
        case .silent(let member, let seconds):
            log.warning("silent", metadata: ["process": "\(member)", "seconds": "\(seconds)"])
        case .heardAgain(let member, let seconds):
            log.info("heard again", metadata: ["process": "\(member)", "seconds": "\(seconds)"])
        case .unstable(let process, let ends):
            log.error(
                "a process does not stay up",
                metadata: [
                    "process": "\(process)", "times": "\(ends.count)", "last": "\(ends.last ?? "")",
                ]
            )
        case .edge(let edge):
            if let pid = edge.pid {
                log.info("the edge runs", metadata: ["pid": "\(pid)"])
            } else {
                log.warning("the edge has ended")
            }
        case .console(let console):
            if let pid = console.pid {
                log.info("the console runs", metadata: ["pid": "\(pid)"])
            } else {
                log.warning("the console has ended", metadata: ["address": "\(console.address)"])
            }
        case .merged(let job, let files, let seconds):
            log.info(
                "merged",
                metadata: [
                    "resource": "\(job.resource.name)", "window": "\(job.window)",
                    "files": "\(files)", "seconds": "\(seconds)",
                ]
            )
        case .lost(let loss, let job):
            let reason = job.repair?.reasons[loss.path] ?? "it was made again, and is damaged again"
            log.error(
                "a segment was damaged or gone; its window is published without its rows",
                metadata: [
                    "file": "\(loss.path)", "resource": "\(job.resource.name)",
                    "window": "\(job.window)",
                    "lsn": "\(job.range)", "rows_lost": "\(loss.rows)", "bytes": "\(loss.bytes)",
                    "kept_at": "\(loss.keptAt ?? "nowhere")", "not_rebuilt": "\(reason)",
                ]
            )
        case .rebuilt(let rebuilt, let job):
            log.warning(
                "damaged segments were made again from the log; nothing is lost",
                metadata: [
                    "worker": "\(rebuilt.window.worker)", "window": "\(rebuilt.window.window)",
                    "lsn": "\(job.range)",
                    "segments": "\(rebuilt.segments)", "rows": "\(rebuilt.rows)",
                ]
            )
        case .mergeFailed(let job, let reason):
            log.error(
                "a window could not be merged; it is tried again until it is",
                metadata: [
                    "resource": "\(job.resource.name)", "window": "\(job.window)",
                    "why": "\(reason)",
                ]
            )
        case .overlap(let resource, let place):
            log.error(
                "two workers announced the same records; the window stays unmerged",
                metadata: ["resource": "\(resource.name)", "where": "\(place)"]
            )
        }
    }
}
