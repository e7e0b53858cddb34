import SystemIO
import Testing

struct AddressRangeTests {
    @Test(arguments: [
        ("10.0.0.5", ["10.0.0.5"], ["10.0.0.6", "::1", "", "host"]),
        ("10.0.0.0/8", ["10.0.0.1", "10.255.255.255"], ["11.0.0.1", "9.255.255.255"]),
        ("192.168.4.0/22", ["192.168.4.0", "192.168.7.255"], ["192.168.8.0", "192.168.3.255"]),
        ("0.0.0.0/0", ["1.2.3.4"], ["::1"]), ("::1", ["::1", "0:0::1"], ["::2", "127.0.0.1"]),
        ("fd00::/9", ["fd00::1", "fd7f::"], ["fd80::", "fe00::"]),
    ])
    func aRangeHasItsAddresses(text: String, inside: [String], outside: [String]) throws {
        let range = try #require(AddressRange(text))
        #expect(range.description == text)
        for address in inside { #expect(range.contains(address), "\(address)") }
        for address in outside { #expect(!range.contains(address), "\(address)") }
    }

    @Test(arguments: [
        "", "host", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "1.2.3.4/", "1.2.3.4/8/8",
    ])
    func otherTextIsNone(text: String) { #expect(AddressRange(text) == nil) }

    @Test func aListIsWholeOrNone() {
        #expect(AddressRange.list("10.0.0.1,::1")?.count == 2)
        for text in ["", "10.0.0.1,", "10.0.0.1, ::1", "10.0.0.1,host"] {
            #expect(AddressRange.list(text) == nil, "\(text)")
        }
    }
}
