package soak

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

// load is what one package is kept busy with. start opens it, over the network that
// breaks, and returns one call of it; what it opens it closes by t.Cleanup.
//
// What a load makes a package hold must be complete within seconds, on a slow machine
// too, and be small beside what flat allows: more calls a second must not look like a leak.
type load struct {
	name   string
	target func(t *testing.T) string // host:port of the other side; nil: there is none, and no fault
	start  func(t *testing.T, addr string) call
}

// call is one call of a load, the n-th.
type call func(ctx context.Context, n int64) error

func loads() []load { return slices.Concat(stores(), coordination(), events(), observers(), traffic()) }

func redis(t *testing.T) string    { return servertest.SharedRedis(t).Addr() }
func etcd(t *testing.T) string     { return servertest.SharedEtcd(t).Addr() }
func nats(t *testing.T) string     { return servertest.SharedNATS(t).Addr() }
func postgres(t *testing.T) string { return servertest.SharedPostgres(t).Addr() }

// rabbitMQ takes a quarter of a minute to start, which a few calls are not worth.
func rabbitMQ(t *testing.T) string {
	if servertest.Soak(t) == 0 {
		t.Skip("only with SOAK")
	}
	return servertest.SharedRabbitMQ(t).Addr()
}

// broker is Kafka's, which takes as long.
func broker(t *testing.T) string {
	if servertest.Soak(t) == 0 {
		t.Skip("only with SOAK")
	}
	return servertest.SharedKafka(t).Addr()
}

// dsn is how PostgreSQL is reached at an address.
func dsn(addr string) string { return "postgres://postgres@" + addr + "/postgres?sslmode=disable" }

// receiver is an OTLP server that takes everything.
func receiver(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	t.Cleanup(s.Close)
	u, _ := url.Parse(s.URL)
	return u.Host
}

func closing(t *testing.T, close func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		close(ctx)
	})
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
