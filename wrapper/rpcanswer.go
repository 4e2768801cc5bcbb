package wrapper

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// rpcKind is the protocol of a request that came in, by what its caller can read
// as an error.
type rpcKind uint8

const (
	noRPC rpcKind = iota
	grpcRPC
	connectUnary
	connectStreams
)

func rpcOf(r *http.Request) rpcKind {
	t := r.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(t, "application/grpc"):
		return grpcRPC
	case strings.HasPrefix(t, "application/connect+"):
		return connectStreams
	case r.Header["Connect-Protocol-Version"] != nil, r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "connect=v1"):
		return connectUnary
	}
	return noRPC
}

// codeOfStatus is the code of an RPC that is refused with a status of HTTP. What
// clients would make of the status by themselves is coarser: 429 and 504 become
// "unavailable", which they try again.
func codeOfStatus(status int) int {
	switch status {
	case http.StatusBadRequest:
		return 3 // invalid argument
	case http.StatusGatewayTimeout:
		return 4 // deadline exceeded
	case http.StatusForbidden:
		return 7 // permission denied
	case http.StatusTooManyRequests:
		return 8 // resource exhausted
	case http.StatusServiceUnavailable:
		return 14 // unavailable
	case http.StatusUnauthorized:
		return 16 // unauthenticated
	}
	return 13 // internal
}

// answerRPC answers as answer does, in the words of the caller's protocol. It
// reports false if that is HTTP.
func (r *response) answerRPC(status int) bool {
	q := r.call.record.Request()
	code, text := codeOfStatus(status), http.StatusText(status)
	problem := fmt.Sprintf(`{"code":%q,"message":%q}`, connectCodes[code], text)
	h := r.Header()
	switch rpcOf(q) {
	case grpcRPC: // headers alone: "Trailers-Only"
		h.Set("Content-Type", q.Header.Get("Content-Type"))
		h.Set("Grpc-Status", strconv.Itoa(code))
		h.Set("Grpc-Message", text)
		status, problem = http.StatusOK, ""
	case connectUnary:
		h.Set("Content-Type", "application/json")
	case connectStreams:
		h.Set("Content-Type", q.Header.Get("Content-Type"))
		status, problem = http.StatusOK, endOfStream(`{"error":`+problem+`}`)
	default:
		return false
	}
	if r.call.record.retriesSpent() {
		h[HeaderNoRetry] = []string{"1"}
	}
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
	if problem != "" {
		r.ResponseWriter.Write([]byte(problem))
		r.says.write([]byte(problem))
	}
	return true
}

// endOfStream is the last message of a stream of Connect's.
func endOfStream(text string) string {
	return string(append(binary.BigEndian.AppendUint32([]byte{0x02}, uint32(len(text))), text...))
}
