package wrapper

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
)

// Side says whether a call comes in or goes out.
type Side uint8

const (
	Server Side = iota // it came in
	Client             // it goes out
)

// Call is the record of one call. Observers and gates share it; a handler finds
// it with FromContext. Its fields are set by the adapter that made it, and must
// not be changed by others.
type Call struct {
	Side      Side
	Protocol  string // "http", "grpc", "event", "micro", "db", "lock"
	Message   bool   // it is a message of a stream that is published (Client) or handled (Server): see Adapter
	Service   string // who is called
	Method    string // a route pattern or the name of a procedure: from a bounded set. On an HTTP server it is known once the mux has matched
	Action    string // what is done, for policies: "GET", or Method; "publish" or "consume" of a message
	Resource  string // what it is done to, for policies: the path as auth.NormalizePath reads it; none with gRPC
	Route     string // the template of the path, such as "/users/{id}", from a bounded set; "" if there is none, or it is not known yet
	RequestID string
	System    string        // the broker of a message or the database that is called, such as "nats"; "" if it is not known
	Group     string        // of consumers, to which a message was delivered
	MessageID string        // of a message
	Messages  int           // how many are published, or asked of a database, together; 0 means 1
	Peer      net.Addr      // from where a call came over another protocol than HTTP; nil if that is not known
	Header    trace.Carrier // of the request: incoming, or to be sent
	Start     time.Time     // the one reading of the clock that all observers share

	Attempts int                 // how many times it was sent; of a message, how many times it was delivered
	Instance *discovery.Instance // where the newest attempt went, at the end that which counts; nil without a router
	Variant  string              // the branch of the routing rule

	// Known at the end:
	Class    router.Class
	Status   int // of HTTP or gRPC; 0 if there was none
	Err      error
	Panic    any
	Stack    []byte // of Panic
	Duration time.Duration
	BytesOut int64 // that a server wrote
	Hijacked bool  // the handler took the connection over
	Late     bool  // the handler answered after the call's deadline, and the answer was dropped

	refused   bool      // by a gate
	stranger  bool      // it came in over the border: see WithEdge
	brought   time.Time // when the deadline ends that the caller brought, if that is what bounds the call
	plan      *plan
	standings *standings       // of the limiters, to be told; nil if there is no way to
	permits   []limits.Permit  // of the limiters, by their position
	permit    [2]limits.Permit // room for most
	spent     uint32           // atomic: not 0 if a call made on its behalf has spent its retries
	span      trace.Span
	shown     *auth.Credential // of other protocols than HTTP: see Adapter.Shown
	native    any              // *http.Request on an HTTP server
	outgoing  *http.Request    // on an HTTP client: the caller's
	proto     string           // on an HTTP client: the version of HTTP that was spoken
	pathErr   error            // the path can't be read in one way: see pathGate
}

// Observer watches calls. It can't change or fail one: a panic is logged, and the
// call goes on. Its methods are called on the goroutine of the call.
type Observer interface {
	// Begin is called before anything else happens. The call goes on with the
	// context that it returns.
	Begin(ctx context.Context, c *Call) context.Context
	// End is called once, when the call is over: when a client's response body
	// was closed, or a hijacked connection.
	End(ctx context.Context, c *Call)
}

// Attempt is one try of a call.
type Attempt struct {
	Call     *Call
	Number   int                 // from 1
	Instance *discovery.Instance // nil without a router
	Header   trace.Carrier       // of this attempt's request

	// Known at the end:
	Class      router.Class
	Status     int
	Err        error
	Latency    time.Duration // until the answer's headers
	Connecting time.Duration // of Latency, what getting a connection took; 0 if that isn't known
	Load       router.Load   // what the server said about itself: see WithLoadReport

	span   trace.Span
	beside bool   // it was sent beside another one that was late
	proto  string // the version of HTTP that was spoken
}

// AttemptObserver is an Observer that also watches each attempt of a client's
// call. Attempts of one call may overlap.
type AttemptObserver interface {
	Observer
	// BeginAttempt returns the context to send with, and may add headers.
	BeginAttempt(ctx context.Context, a *Attempt) context.Context
	// EndAttempt is called when the answer has been read, or there is none.
	EndAttempt(ctx context.Context, a *Attempt)
}

// Gate lets calls that come in through, or refuses them.
type Gate interface {
	// Enter returns the context to go on with, or why the call is refused. The
	// answer is 401 for auth.ErrUnauthenticated, 403 for auth.ErrDenied, 429 for
	// router.ErrLimited, 503 for the ErrUnavailable and ErrClosed of both and
	// for a canceled context, 504 for a context's deadline. Any other error, and
	// a panic, is 500.
	Enter(ctx context.Context, c *Call) (context.Context, error)
	// Leave is called once after each Enter without an error, at the call's end.
	// A panic is logged.
	Leave(ctx context.Context, c *Call)
}

// Request returns the HTTP request that came in, nil if the call is of another
// protocol or goes out. It must not be changed.
func (c *Call) Request() *http.Request {
	r, _ := c.native.(*http.Request)
	return r
}

type callKey struct{}

// callContext carries a call without a separate allocation.
type callContext struct {
	context.Context
	call  *Call
	route *atomic.Pointer[string] // nil but for HTTP
}

// spendRetries marks the call: whoever made it must not try again for what was
// tried enough on its behalf.
func (c *Call) spendRetries() { atomic.StoreUint32(&c.spent, 1) }

func (c *Call) retriesSpent() bool { return atomic.LoadUint32(&c.spent) != 0 }

func (c *callContext) Value(key any) any {
	switch key {
	case callKey{}:
		return c.call
	case routeKey{}:
		return c.route
	}
	return c.Context.Value(key)
}

// FromContext returns the call that ctx belongs to: in a handler, the one that
// came in.
func FromContext(ctx context.Context) (*Call, bool) {
	c, ok := ctx.Value(callKey{}).(*Call)
	return c, ok
}
