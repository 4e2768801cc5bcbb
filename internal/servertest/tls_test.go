package servertest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTLS(t *testing.T) {
	certs := NewCerts(t)
	for name, boot := range map[string]func(testing.TB, ...Option) *Server{"redis": Redis, "memcached": Memcached, "etcd": Etcd, "consul": Consul} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := boot(t, WithTLS(certs)) // ready means that it answers over TLS
			stranger := certs.Client.Clone()
			stranger.Certificates = nil
			if n, err := knock(s.Addr(), stranger); err == nil {
				t.Errorf("without a client certificate: got %d bytes, want an error", n)
			}
		})
	}
	t.Run("redis sentinel", func(t *testing.T) {
		t.Parallel()
		if r := RedisSentinel(t, WithTLS(certs)); r.Leader() == nil {
			t.Error("no leader")
		}
	})
	t.Run("redis cluster", func(t *testing.T) {
		t.Parallel()
		if c := RedisCluster(t, WithTLS(certs), WithReplicas(1)); c.Owner("key") == nil {
			t.Error("no owner")
		}
	})
}

// knock connects with TLS and says something that every server answers or refuses. Under TLS 1.3
// it is the first read that tells that a certificate was asked for.
func knock(addr string, c *tls.Config) (int, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: answerWithin}, "tcp", addr, c)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return 0, err
	}
	return conn.Read(make([]byte, 1))
}

func TestNATSWithTLS(t *testing.T) {
	certs := NewCerts(t)
	s := NATS(t, WithTLS(certs))
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(answerWithin))
	// NATS greets in the clear and upgrades then.
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, `"tls_required":true`) {
		t.Fatalf("got %q, %v; want a greeting that asks for TLS", line, err)
	}
	upgraded := certs.Client.Clone()
	upgraded.ServerName = "127.0.0.1"
	if err := tls.Client(c, upgraded).Handshake(); err != nil {
		t.Errorf("handshake: %v", err)
	}
}

func TestCertsServe(t *testing.T) {
	certs := NewCerts(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", certs.Server)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})}
	go srv.Serve(l)
	defer srv.Close()
	c := http.Client{Transport: &http.Transport{TLSClientConfig: certs.Client, DisableKeepAlives: true}}
	rsp, err := c.Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if body, _ := io.ReadAll(rsp.Body); string(body) != "client\n" {
		t.Errorf("the server saw %q, want client", body)
	}
}
