import CEcho
import NIOCore

/// Answers lines. There is one for each connection, for as long as that lasts.
final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var rest = ""
    private var count = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        rest += String(buffer: buffer)
        while let end = rest.firstIndex(of: "\n") {
            let answer = answer(to: String(rest[..<end]))
            rest = String(rest[rest.index(after: end)...])
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer + "\n")), promise: nil)
        }
    }

    private func answer(to line: String) -> String {
        switch line {
        case "hello": return "hello 0"
        case "count":
            count += 1
            return "count \(count)"
        case "scaled": return "scaled \(echo_scaled(0))"
        case "limit": return "limit \(ECHO_LIMIT) \(echo_least(echo_room(used: 90)))"
        default: return line
        }
    }
}
