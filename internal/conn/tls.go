package conn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"

	"github.com/micro/go-platform/internal/fault"
)

// SetTLS is what WithTLS of every backend does: it sets a copy of c. Nil is
// refused, because to the clients below it means that the address decides: a
// program whose certificates failed to load would send its password in clear.
func SetTLS(to **tls.Config, c *tls.Config) error {
	if c == nil {
		return fault.Markf(fault.Invalid, "nil TLS configuration")
	}
	*to = c.Clone()
	return nil
}

// Secure returns the scheme to use with an address: the address's own, or for
// an address without one secure if c asks for TLS, else plain. An address that
// names another scheme than secure contradicts a c that asks for TLS.
func Secure(a Address, c *tls.Config, plain, secure string) (scheme string, err error) {
	switch {
	case c == nil && a.Scheme == "":
		return plain, nil
	case c != nil && a.Scheme == "":
		return secure, nil
	case c != nil && a.Scheme != secure:
		return "", fault.Markf(fault.Invalid, "TLS is configured, but the address %s says %s, want %s", a, a.Scheme, secure)
	}
	return a.Scheme, nil
}

// SameOrigin is a CheckRedirect for requests that carry credentials. net/http
// sends them along to the same host, also when the redirect leads from https to
// http.
func SameOrigin(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return fmt.Errorf("redirect to %s://%s is not followed: another scheme or host", next.URL.Scheme, next.URL.Host)
	}
	if len(via) > 3 {
		return errors.New("too many redirects")
	}
	return nil
}

// HungUp says of the error of a connection without TLS what a server that ends
// it at once may want. Other errors are returned as they are.
func HungUp(err error) error {
	if err == nil {
		return nil
	}
	// gRPC's and gocql's errors have only their text. A connection that breaks
	// later is "error reading from server: EOF" to gRPC.
	text := err.Error()
	_, begin, found := strings.Cut(text, "discover protocol version: ")
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(text, "error reading server preface") ||
		found && (begin == "EOF" || strings.HasSuffix(begin, syscall.ECONNRESET.Error())) {
		return fmt.Errorf("the server hung up: does the port expect TLS? %w", err)
	}
	return err
}

// WantsTLS returns ": the port expects TLS" if that is what the body of an
// answer of status 400 says, as Go's and nginx's do, and "" otherwise.
func WantsTLS(status int, body []byte) string {
	if status == http.StatusBadRequest && bytes.Contains(bytes.ToUpper(body), []byte("HTTPS")) {
		return ": the port expects TLS"
	}
	return ""
}
