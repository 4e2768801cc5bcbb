package logstash_test

import (
	"net"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/logstash"
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

func TestConformanceOnRsyslog(t *testing.T) {
	logtest.Run(t, logtest.Harness{
		Output: func(t testing.TB) (log.Option, func() []string) {
			s := servertest.Rsyslog(t)
			return logstash.Backend(s.AddrOf("json")), func() []string { return append(s.Lines("json"), s.Lines("bad")...) }
		},
		Down: func(t testing.TB) log.Option { return logstash.Backend(nobody(t)) },
	})
}
