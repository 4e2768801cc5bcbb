package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// credentials are who asks.
type credentials interface {
	// token returns the bearer token of the next request, "" for none. After a
	// refusal fresh is true: what is remembered is not to be believed.
	token(ctx context.Context, fresh bool) (string, error)
}

type noToken struct{}

func (noToken) token(context.Context, bool) (string, error) { return "", nil }

type fixedToken string

func (t fixedToken) token(context.Context, bool) (string, error) { return string(t), nil }

// rereadAfter is how long a token of a file is used without a look. A kubelet
// replaces a service account's when 80 % of its time has passed, and the old one
// is good for the rest.
const rereadAfter = time.Minute

// fileToken is a token in a file that somebody renews.
type fileToken struct {
	path string

	mu   sync.Mutex
	last string
	read time.Time
}

func (t *fileToken) token(_ context.Context, fresh bool) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !fresh && t.last != "" && time.Since(t.read) < rereadAfter {
		return t.last, nil
	}
	text, err := os.ReadFile(t.path)
	token := strings.TrimSpace(string(text))
	if err == nil && (token == "" || strings.ContainsAny(token, "\r\n")) {
		err = fmt.Errorf("%s holds no token", t.path)
	}
	switch {
	case err == nil:
		t.last, t.read = token, time.Now()
	case t.last == "":
		return "", fault.Mark(fault.Denied, err)
	default: // half written, perhaps: the last one may be good still
		t.read = time.Now()
	}
	return t.last, nil
}

// certFiles reads a client certificate for every connection that is made, since
// somebody may renew it.
type certFiles struct{ cert, key string }

func (c certFiles) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	return &pair, nil
}

// checkToken refuses what would break a header.
func checkToken(token string) error {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("the token has white space or control characters")
	}
	return nil
}
