/// Renders the HTML overview of the cluster's status.
enum OverviewPage {
    static func html(_ status: StatusPage) -> String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Trace Processor</title>
        <style>
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
        table { border-collapse: collapse; width: 100% } th, td { padding: .2rem .6rem; text-align: left }
        td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
        tr { border-bottom: 1px solid #ddd } .down { color: #b00; font-weight: 600 }
        </style></head><body>
        <h1>Trace Processor \(escaped(status.aggregator.version))</h1>
        <p>\(state(status))</p>
        \(status.problems.map { "<p class=\"down\">\(escaped($0))</p>" }.joined(separator: "\n"))
        <table><tr><th>events</th><th class="n">count</th></tr>
        \(counts(status))</table>
        <h2>Workers</h2>
        <table><tr><th>name</th><th>state</th><th class="n">pid</th><th class="n">lag, bytes</th>\
        <th class="n">skew</th><th class="n">restarts</th></tr>
        \(status.workers.map(row).joined(separator: "\n"))</table>
        <h2>Last windows</h2>
        <p>\(merging(status.merging))</p>
        \(status.objectStore.map(uploads) ?? "")
        <table><tr><th>resource</th><th class="n">window</th><th>files</th></tr>
        \(status.merged.map(row).joined(separator: "\n"))</table>
        <p><a href="/metrics">metrics</a> (<a href="/metrics?names=trace">trace</a>, \
        <a href="/metrics?names=neutracer">neutracer</a>) · <a href="/status">status</a> · <a href="/readyz">readiness</a></p>
        </body></html>

        """
    }

    private static func state(_ status: StatusPage) -> String {
        let router =
            status.router.up
            ? (status.router.accepting ? "accepting batches" : "not accepting batches")
            : "<span class=\"down\">router down</span>"
        return (status.ready ? "Ready" : "<span class=\"down\">Not ready</span>") + ", \(router),"
            + " window \(status.router.window), log at byte \(status.router.headLsn)."
    }

    private static func counts(_ status: StatusPage) -> String {
        [
            ("received", status.known ? "\(status.receivedEvents)" : "not known"),
            ("written", "\(status.writtenEvents)"),
            ("deduplicated", "\(status.deduplicatedEvents)"),
            ("dead-lettered", "\(status.deadLetteredEvents)"),
            ("rejected", "\(status.rejectedEvents)"),
            ("perhaps lost with the log", "\(status.uncertainEvents)"),
            ("rows lost with damaged segments", "\(status.lostRows)"),
            ("rows of damaged segments rebuilt", "\(status.rebuiltRows)"),
        ].map { "<tr><td>\($0)</td><td class=\"n\">\($1)</td></tr>" }.joined(separator: "\n")
    }

    private static func row(_ worker: StatusPage.Worker) -> String {
        let down = worker.lost.map { "down for good: \(escaped($0))" } ?? "down"
        let state = worker.up ? "up" : "<span class=\"down\">\(down)</span>"
        let pid = worker.pid.map { "\($0)" } ?? "–"
        let skew = worker.skewRatio.map { "\($0)" } ?? "–"
        return "<tr><td>\(escaped(worker.name))</td><td>\(state)</td><td class=\"n\">\(pid)</td>"
            + "<td class=\"n\">\(worker.lagBytes)</td><td class=\"n\">\(skew)</td>"
            + "<td class=\"n\">\(worker.restarts)</td></tr>"
    }

    private static func merging(_ merging: StatusPage.Merging) -> String {
        let waiting = "\(merging.waitingWindows) waiting to be merged."
        guard let current = merging.current else { return waiting }
        return "Merging \(escaped(current.resource)) window \(current.window):"
            + " \(current.mergedBytes) of \(current.totalBytes) bytes; \(waiting)"
    }

    private static func uploads(_ store: StatusPage.ObjectStore) -> String {
        let problem = store.problem.map { " <span class=\"down\">\(escaped($0))</span>" } ?? ""
        return "<p>\(store.waitingWindows) waiting to be uploaded to \(escaped(store.address)),"
            + " cell \(escaped(store.cell)).\(problem)</p>"
    }

    private static func row(_ merged: StatusPage.Merged) -> String {
        let files = merged.files.map(escaped).joined(separator: "<br>")
        return "<tr><td>\(escaped(merged.resource))</td><td class=\"n\">\(merged.window)</td>"
            + "<td>\(files)</td></tr>"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing(
                "\"",
                with: "&quot;"
            )
    }
}
