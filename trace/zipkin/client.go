package zipkin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/post"
	tracedriver "github.com/micro/go-platform/trace/driver"
)

// client talks JSON with one server.
type client struct {
	server *post.Server
	base   string // scheme://host:port, and the prefix of a path
	url    string // where spans go
	header http.Header
}

// spansPath is where spans go, unless the address has a path.
const spansPath = "/api/v2/spans"

func newClient(addr string, o options) (*client, error) {
	server, err := post.Open(addr, 9411, o.client, o.tls)
	if err != nil {
		return nil, err
	}
	c := &client{server: server, header: o.header, base: server.Base, url: server.Base + spansPath}
	if own := strings.TrimSuffix(server.Path, "/"); own != "" {
		c.url = c.base + "/" + own
		c.base = strings.TrimSuffix(c.url, spansPath)
	}
	return c, nil
}

// post sends body to where spans go.
func (c *client) post(ctx context.Context, body []byte) error {
	body, packed := post.Pack(body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	_, err = c.do(req, 1<<16)
	return err
}

// get asks for a path below base. The answer is at most limit bytes.
func (c *client) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	return c.do(req, limit)
}

// do sends a request and turns all answers but 2xx into errors.
func (c *client) do(req *http.Request, limit int64) ([]byte, error) {
	for k, v := range c.header {
		req.Header[k] = v
	}
	resp, err := c.server.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if resp.StatusCode/100 == 2 {
		switch {
		case err != nil:
			return nil, fault.Mark(fault.Unavailable, err)
		case int64(len(answer)) > limit:
			return nil, fault.Mark(fault.TooLarge, errors.New("the answer is over the limit"))
		}
		return answer, nil
	}
	err = fmt.Errorf("%s %s: %s: %s", req.Method, conn.Redact(req.URL.String()), resp.Status, bytes.TrimSpace(answer[:min(len(answer), 512)]))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		return nil, tracedriver.RetryAfter(fault.Mark(fault.Unavailable, err), post.RetryAfter(resp.Header))
	case resp.StatusCode == http.StatusNotFound:
		return nil, fault.Mark(fault.NotFound, err)
	}
	return nil, fault.Mark(fault.Invalid, err)
}
