package wrapper

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/micro/go-platform/router"
)

// Names of OpenTelemetry's semantic conventions, version 1.43.0, and our own,
// which begin with "platform.". docs/semconv.md lists where each is.
const (
	attrErrorType     = "error.type"
	attrServerAddress = "server.address"
	attrServerPort    = "server.port"
	attrClientAddress = "client.address"
	attrProtocol      = "network.protocol.version"

	attrHTTPMethod   = "http.request.method"
	attrHTTPOriginal = "http.request.method_original"
	attrHTTPResend   = "http.request.resend_count"
	attrHTTPRoute    = "http.route"
	attrHTTPStatus   = "http.response.status_code"
	attrURLFull      = "url.full"
	attrURLPath      = "url.path"
	attrURLScheme    = "url.scheme"
	attrUserAgent    = "user_agent.original"

	attrRPCSystem   = "rpc.system.name"
	attrRPCMethod   = "rpc.method"
	attrRPCOriginal = "rpc.method_original"
	attrRPCStatus   = "rpc.response.status_code"

	attrMessagingSystem      = "messaging.system"
	attrMessagingOperation   = "messaging.operation.name"
	attrMessagingType        = "messaging.operation.type"
	attrMessagingDestination = "messaging.destination.name"
	attrMessagingGroup       = "messaging.consumer.group.name"
	attrMessagingID          = "messaging.message.id"
	attrMessagingCount       = "messaging.batch.message_count"

	attrDBSystem     = "db.system.name"
	attrDBOperation  = "db.operation.name"
	attrDBCollection = "db.collection.name"
	attrDBBatch      = "db.operation.batch.size"

	attrExceptionMessage = "exception.message"
	attrExceptionStack   = "exception.stacktrace"

	attrAttempts  = "platform.attempts"         // how often the call was sent
	attrDelivery  = "platform.delivery.attempt" // how often the message was delivered
	attrInstance  = "platform.instance.id"      // that was called
	attrInState   = "platform.instance.state"   // what the router or discovery makes of it
	attrBreaker   = "platform.breaker.state"
	attrAttempt   = "platform.attempt.kind" // first, retry or hedge
	attrLockID    = "platform.lock.id"
	attrLockOp    = "platform.lock.operation"
	attrOutcome   = "platform.outcome"  // a router.Class
	attrProto     = "platform.protocol" // Call.Protocol
	attrReason    = "platform.reason"   // why a call was not let in
	attrRequestID = "platform.request.id"
	attrResend    = "platform.resend_count" // http.request.resend_count of other protocols
)

// What callers choose is cut, in bytes, before it becomes part of a span or a
// log record.
const (
	maxMethodText = 32
	maxPathText   = 512
	maxAgentText  = 256
)

// clip cuts s to max bytes, and no character in two.
func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// failed says of a call what error.type says: "" if it did not fail. It is the
// status code if that is an error, "panic", or the class of what happened
// instead of an answer. What only the caller did wrong is no failure of a
// server, and a call that its caller gave up is none at all.
func (c *Call) failed() string {
	if c.Panic != nil {
		return "panic"
	}
	return failureType(c, c.Class, c.Status)
}

func failureType(c *Call, class router.Class, status int) string {
	if class == router.OK || class == router.Cancelled {
		return ""
	}
	server := c.Side == Server
	switch c.Protocol {
	case "grpc":
		if status > 0 {
			if server && !faultOfServer(status) {
				return ""
			}
			return codeText(status)
		}
	case "http", "micro":
		if status >= 500 || status >= 400 && !server {
			return statusText(status)
		}
		if status >= 400 {
			return ""
		}
	}
	if server && class == router.ClientError {
		return ""
	}
	return class.String()
}

// faultOfServer reports whether a status code of gRPC that a server answers with
// is its own failure.
func faultOfServer(code int) bool {
	switch code {
	case 2, 4, 12, 13, 14, 15: // unknown, deadline exceeded, unimplemented, internal, unavailable, data loss
		return true
	}
	return code > 16
}

// codeText is a status code of gRPC in its own words.
func codeText(code int) string {
	names := [...]string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
		"UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}
	if code < 0 || code >= len(names) {
		return "CODE(" + strconv.Itoa(code) + ")"
	}
	return names[code]
}

// statusText is a status code of HTTP in digits, without an allocation.
func statusText(code int) string {
	if code < 100 || code > 999 {
		return ""
	}
	at := 3 * (code - 100)
	return threeDigits()[at : at+3]
}

var threeDigits = sync.OnceValue(func() string {
	var b strings.Builder
	for code := 100; code < 1000; code++ {
		b.WriteString(strconv.Itoa(code))
	}
	return b.String()
})

// rpcStatus is the status of a remote procedure call.
func (c *Call) rpcStatus() string {
	if c.Protocol == "grpc" {
		return codeText(c.Status)
	}
	return statusText(c.Status)
}

// rpcSystem is the name of the protocol.
func (c *Call) rpcSystem() string {
	if c.Protocol == "micro" {
		return "go-micro"
	}
	return c.Protocol
}

// rpcMethod is the procedure: "greeter.Greeter/Hello".
func (c *Call) rpcMethod() string { return strings.TrimPrefix(c.Method, "/") }

// messagingSystem is the broker.
func (c *Call) messagingSystem() string { return cmp.Or(c.System, other) }

// other stands for what is not known, or not one of few.
const other = "_OTHER"

// operation is what is done with a message, and its type in the conventions.
func (c *Call) operation() (name, kind string) {
	if c.Side == Client {
		return "publish", "send"
	}
	return "process", "process"
}

// splitService splits what a client calls into server.address and server.port.
// The port is "" if the address names none.
func splitService(service string) (host, port string) {
	i := strings.LastIndexByte(service, ':')
	if i < 0 || strings.IndexByte(service[i:], ']') >= 0 {
		return strings.Trim(service, "[]"), ""
	}
	host = service[:i]
	if strings.IndexByte(host, ':') >= 0 && host[0] != '[' { // an IPv6 address alone
		return service, ""
	}
	return strings.Trim(host, "[]"), service[i+1:]
}

// httpRequest returns the HTTP request of the call, whichever side it is on.
func (c *Call) httpRequest() *http.Request {
	if r := c.Request(); r != nil {
		return r
	}
	return c.outgoing
}

// scheme is "http" or "https".
func (c *Call) scheme() string {
	r := c.httpRequest()
	switch {
	case r == nil:
		return ""
	case c.Side == Client && r.URL != nil:
		return r.URL.Scheme
	case r.TLS != nil:
		return "https"
	}
	return "http"
}

// version is that of HTTP: "1.1", "2".
func (c *Call) version() string {
	if r := c.Request(); r != nil {
		return versionText(r.ProtoMajor, r.ProtoMinor)
	}
	return c.proto
}

func versionText(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1"
	case major == 1 && minor == 0:
		return "1.0"
	case major == 2:
		return "2"
	case major == 3:
		return "3"
	}
	return ""
}
