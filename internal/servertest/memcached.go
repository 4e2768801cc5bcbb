package servertest

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Memcached starts a memcached server with 64 MB.
func Memcached(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	return start(t, o, spec{
		name: "memcached", part: "debian", program: "memcached", ports: []string{"memcached"}, secure: "memcached",
		args: func(s *Server) []string {
			args := []string{"-l", "127.0.0.1", "-p", strconv.Itoa(s.Port("memcached")), "-U", "0", "-m", "64", "-u", "root"}
			if o.tls != nil {
				args = append(args, "-Z", "-o", fmt.Sprintf("ssl_chain_cert=%s,ssl_key=%s,ssl_ca_cert=%s,ssl_verify_mode=2", o.tls.ServerCert, o.tls.ServerKeyFile, o.tls.CAFile))
			}
			return args
		},
		ready: func(s *Server) error {
			c, err := s.dial("memcached")
			if err != nil {
				return err
			}
			defer c.Close()
			fmt.Fprint(c, "version\r\n")
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == nil && !strings.HasPrefix(line, "VERSION") {
				err = fmt.Errorf("got %q, want VERSION …", line)
			}
			return err
		},
	})
}

// SharedMemcached returns the test binary's memcached server.
func SharedMemcached(t testing.TB) *Server {
	t.Helper()
	return share(t, "memcached", Memcached)
}
