package fluentd_test

import (
	"net"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/fluentd"
	"github.com/micro/go-platform/log/logtest"
)

// nobody returns an address where nobody listens.
func nobody(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestConformanceOnFluentd(t *testing.T) {
	logtest.Run(t, logtest.Harness{
		Output: func(t testing.TB) (log.Option, func() []string) {
			s := servertest.Fluentd(t)
			return fluentd.Backend(s.AddrOf("forward"), "suite"), func() []string { return s.Lines("received") }
		},
		Down: func(t testing.TB) log.Option { return fluentd.Backend(nobody(t), "suite") },
	})
}
