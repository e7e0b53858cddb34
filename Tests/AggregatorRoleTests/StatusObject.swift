/// The `/status` object with the names of the contract. A missing key is a decoding error; `pid` must be present,
/// null or not.
struct StatusObject: Decodable {
    struct Process: Decodable {
        let pid: Int?

        enum CodingKeys: CodingKey { case pid }

        init(from decoder: any Decoder) throws {
            // `decode`, because `decodeIfPresent` would accept a missing key.
            pid = try decoder.container(keyedBy: CodingKeys.self).decode(Int?.self, forKey: .pid)
        }
    }

    struct Worker: Decodable {
        let name: String
        let resource: String
        let index: Int
        let up: Bool
        let lag_bytes: Int
        let process: Process

        enum CodingKeys: CodingKey {
            case name
            case resource
            case index
            case up
            case lag_bytes
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            name = try container.decode(String.self, forKey: .name)
            resource = try container.decode(String.self, forKey: .resource)
            index = try container.decode(Int.self, forKey: .index)
            up = try container.decode(Bool.self, forKey: .up)
            lag_bytes = try container.decode(Int.self, forKey: .lag_bytes)
            process = try Process(from: decoder)
        }
    }

    struct Merging: Decodable { let waiting_windows: Int }

    let merging: Merging
    let ready: Bool
    let problems: [String]
    let router: Process
    let aggregator: Process
    let workers: [Worker]
    let received_events: Int
    let written_events: Int
    let deduplicated_events: Int
    let dead_lettered_events: Int
    let rejected_events: Int
}
