package otlpgrpc

import (
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/otlp"
)

// maxPause bounds the time between attempts to connect: a batch is given up
// after a minute, and gRPC's own bound is two.
const maxPause = 5 * time.Second

// dial opens a connection of its own to addr. It connects with the first call.
func dial(addr string, o *otlp.Options) (otlp.Transport, error) {
	a, err := conn.Parse(addr, conn.Scheme{Name: "http", Port: 4317}, conn.Scheme{Name: "https", Port: 443})
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	if a.Path != "" {
		return nil, fault.Markf(fault.Invalid, "address %s has a path, which gRPC has no use for", a)
	}
	scheme, err := conn.Secure(a, o.TLS, "http", "https")
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if scheme == "https" {
		creds = credentials.NewTLS(o.TLS)
	}
	pauses := backoff.DefaultConfig
	pauses.BaseDelay, pauses.MaxDelay = 100*time.Millisecond, maxPause
	cc, err := grpc.NewClient("dns:///"+a.HostPort(), grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pauses, MinConnectTimeout: maxPause}), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	c, err := newCaller(cc, o)
	if err != nil {
		_ = cc.Close()
		return nil, err
	}
	c.close = sync.OnceValue(cc.Close) // a second Close of gRPC's is an error
	if a.User != "" {
		c.header.Set("authorization", basic(a.User, a.Password))
	}
	return c, nil
}
