package servertest

import (
	"strconv"
	"testing"
)

// NATS starts a NATS server with JetStream. It keeps its streams over Restart.
func NATS(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	return start(t, o, spec{
		name: "nats", part: "go", program: "nats-server", ports: []string{"nats", "http"},
		args: func(s *Server) []string {
			args := []string{"-a", "127.0.0.1", "-p", strconv.Itoa(s.Port("nats")), "-m", strconv.Itoa(s.Port("http")), "-js", "-sd", s.dir + "/data"}
			if o.tls != nil {
				args = append(args, "--tlsverify", "--tlscacert", o.tls.CAFile, "--tlscert", o.tls.ServerCert, "--tlskey", o.tls.ServerKeyFile)
			}
			return args
		},
		ready: answers("http", "/healthz", "ok"),
	})
}

// SharedNATS returns the test binary's NATS server.
func SharedNATS(t testing.TB) *Server {
	t.Helper()
	return share(t, "nats", NATS)
}
