package servertest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// answerWithin bounds one question to a server that may not be ready.
const answerWithin = 5 * time.Second

// dial connects to a port as clients do, with a deadline on everything that follows.
func (s *Server) dial(portName string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.AddrOf(portName))
	if err != nil {
		return nil, err
	}
	if s.secure(portName) {
		config := s.opts.tls.Client.Clone()
		config.ServerName = cmp.Or(s.spec.host, "127.0.0.1")
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		c = secure
	}
	return c, c.SetDeadline(time.Now().Add(answerWithin))
}

// secure reports whether a port speaks TLS.
func (s *Server) secure(portName string) bool {
	return s.opts.tls != nil && portName == s.spec.secure
}

// get returns the body of a successful GET.
func (s *Server) get(portName, path string) (string, error) {
	return s.request(http.MethodGet, portName, path, "")
}

// request returns the body of a successful answer.
func (s *Server) request(method, portName, path, body string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.AddrOf(portName)+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if !s.secure(portName) {
		return roundTrip(req, nil)
	}
	req.URL.Scheme = "https"
	return roundTrip(req, s.opts.tls.Client)
}

// roundTrip returns the body of a successful answer.
func roundTrip(req *http.Request, config *tls.Config) (string, error) {
	// A transport of its own without keep-alives, so that nothing stays behind.
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}
	rsp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(rsp.Body)
	if err == nil && rsp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", req.Method, req.URL, rsp.Status, b)
	}
	return string(b), err
}

// answers returns a readiness check: a GET whose body contains want.
func answers(portName, path, want string) func(*Server) error {
	return func(s *Server) error {
		body, err := s.get(portName, path)
		if err == nil && !strings.Contains(body, want) {
			err = fmt.Errorf("GET %s: got %q, want one with %q", path, body, want)
		}
		return err
	}
}

// accepts returns a readiness check: a port can be connected to.
func accepts(portName string) func(*Server) error {
	return func(s *Server) error {
		c, err := s.dial(portName)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// hears returns a readiness check: somebody listens on a UDP port.
func hears(portName string) func(*Server) error {
	return func(s *Server) error {
		c, err := net.ListenPacket("udp", s.AddrOf(portName))
		if err != nil {
			return nil
		}
		c.Close()
		return errors.New("nobody listens on " + s.AddrOf(portName))
	}
}

// says returns a readiness check: the server has logged text since it was started.
func says(text string) func(*Server) error {
	return func(s *Server) error {
		b, err := os.ReadFile(s.logfile())
		if err == nil && !strings.Contains(string(b[min(s.began, int64(len(b))):]), text) {
			err = fmt.Errorf("the log doesn't say %q", text)
		}
		return err
	}
}

// all returns a readiness check: those given, in turn.
func all(checks ...func(*Server) error) func(*Server) error {
	return func(s *Server) error {
		for _, check := range checks {
			if err := check(s); err != nil {
				return err
			}
		}
		return nil
	}
}
