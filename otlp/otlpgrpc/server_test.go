package otlpgrpc_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// server is a gRPC server that answers as told, as no real receiver does.
type server struct {
	*grpc.Server
	addr string

	mu    sync.Mutex
	calls []call // but those of Ping
	packs []string
}

type call struct {
	method string
	header metadata.MD
	body   []byte
}

// newServer listens on addr. answer gets the number of the call.
func newServer(t testing.TB, addr string, answer func(n int) ([]byte, error), opts ...grpc.ServerOption) *server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	s.Server = grpc.NewServer(append(opts, grpc.ForceServerCodecV2(octets{}), grpc.StatsHandler(s), grpc.UnknownServiceHandler(func(_ any, st grpc.ServerStream) error {
		c := call{}
		c.method, _ = grpc.MethodFromServerStream(st)
		c.header, _ = metadata.FromIncomingContext(st.Context())
		if err := st.RecvMsg(&c.body); err != nil {
			return err
		}
		if len(c.body) == 0 {
			return st.SendMsg([]byte{})
		}
		s.mu.Lock()
		s.calls = append(s.calls, c)
		n := len(s.calls)
		s.mu.Unlock()
		var b []byte
		if answer != nil {
			var err error
			if b, err = answer(n); err != nil {
				return err
			}
		}
		return st.SendMsg(b)
	}))...)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return s
}

func (s *server) all() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// The server is a stats.Handler, which is told how requests are compressed.
func (s *server) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *server) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *server) HandleConn(context.Context, stats.ConnStats)                       {}
func (s *server) HandleRPC(_ context.Context, r stats.RPCStats) {
	if in, ok := r.(*stats.InHeader); ok {
		s.mu.Lock()
		s.packs = append(s.packs, in.Compression)
		s.mu.Unlock()
	}
}

// octets is a codec for messages as they are on the wire.
type octets struct{}

func (octets) Name() string { return "proto" }
func (octets) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (octets) Unmarshal(b mem.BufferSlice, v any) error {
	*v.(*[]byte) = b.Materialize()
	return nil
}
