package otlpgrpc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/otlp"
)

// Option is an option of engine/otlp.
type Option = otlp.Option

// Transport sends over gRPC to the address of the Backend: "host:port", or a URL
// that begins with http:// or https://. The port is 4317, of https 443, if the
// address has none.
func Transport() Option {
	return func(o *otlp.Options) error { o.Opener, o.Given = dial, false; return nil }
}

// WithClient sends over conn, which Close leaves as it is. The address of the
// Backend must be empty: conn has its own, and its own TLS.
func WithClient(conn *grpc.ClientConn) Option {
	return func(o *otlp.Options) error {
		if conn == nil {
			return fault.Markf(fault.Invalid, "nil client")
		}
		o.Given = true
		o.Opener = func(addr string, o *otlp.Options) (otlp.Transport, error) {
			if addr != "" || o.TLS != nil {
				return nil, fault.Markf(fault.Invalid, "an address or TLS beside a gRPC client, which has both")
			}
			return newCaller(conn, o)
		}
		return nil
	}
}

// caller is OTLP over gRPC.
type caller struct {
	conn   *grpc.ClientConn
	close  func() error // nil if the connection is the user's
	header metadata.MD
	plain  bool
}

func newCaller(conn *grpc.ClientConn, o *otlp.Options) (*caller, error) {
	if o.Client != nil || o.JSON {
		return nil, fault.Markf(fault.Invalid, "WithClient and WithJSON of HTTP beside gRPC")
	}
	c := &caller{conn: conn, plain: o.Plain, header: metadata.MD{"b3": {"0"}}} // reporting is no part of a trace
	for k, v := range o.Header {
		k = strings.ToLower(k)
		if strings.HasPrefix(k, "grpc-") {
			return nil, fault.Markf(fault.Invalid, "header %q is gRPC's own", k)
		}
		c.header[k] = v
	}
	return c, nil
}

// packFrom is the size from which compressing is worth its time.
const packFrom = 1 << 10

func (c *caller) Send(ctx context.Context, s otlp.Signal, request []byte) (otlp.Refused, error) {
	opts := []grpc.CallOption{grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(otlp.MaxAnswer), grpc.MaxCallSendMsgSize(len(request))}
	if !c.plain && len(request) >= packFrom {
		opts = append(opts, grpc.UseCompressor(gzip.Name))
	}
	var answer []byte
	err := c.conn.Invoke(metadata.NewOutgoingContext(ctx, c.header), s.Method, request, &answer, opts...)
	if err == nil {
		return otlp.Partial(answer), nil
	}
	return otlp.Refused{}, sorted(ctx, fmt.Errorf("%s of %s: %w", s.Method, c.conn.CanonicalTarget(), conn.HungUp(err)))
}

func (c *caller) Close() error {
	if c.close == nil {
		return nil
	}
	return c.close()
}

// sorted gives err its kind. The codes after which a request may be sent again
// are those of https://opentelemetry.io/docs/specs/otlp/#failures.
func sorted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Mark(fault.Unavailable, errors.Join(err, context.Cause(ctx)))
	}
	st, _ := status.FromError(err)
	after, asked := pause(st)
	switch st.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
	case codes.ResourceExhausted:
		if !asked { // it will not recover
			return fault.Mark(fault.Invalid, err)
		}
	case codes.Unimplemented:
		return fault.Mark(fault.NotFound, err)
	default:
		return fault.Mark(fault.Invalid, err)
	}
	err = fault.Mark(fault.Unavailable, err)
	if asked {
		return otlp.Retry(err, after)
	}
	return err
}

// pause is what a RetryInfo asks for.
func pause(st *status.Status) (d time.Duration, asked bool) {
	for _, detail := range st.Details() {
		if r, ok := detail.(*errdetails.RetryInfo); ok {
			return max(0, r.GetRetryDelay().AsDuration()), true
		}
	}
	return 0, false
}

// basic is a user and a password as a header has them (RFC 7617).
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
