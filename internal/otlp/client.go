package otlp

import (
	stdbytes "bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/post"
)

// Client sends the requests of one signal to one server.
type Client struct {
	Options
	server *post.Server
	url    string
	signal Signal
}

// New returns a client for addr, a "host:port" or a URL. Requests go to the
// signal's path below it, or to the address's own path if it has one.
func New(addr string, s Signal, opts []Option) (*Client, error) {
	o, err := Apply(opts)
	if err != nil {
		return nil, err
	}
	server, err := post.Open(addr, 4318, o.Client, o.TLS)
	if err != nil {
		return nil, err
	}
	c := &Client{Options: o, server: server, signal: s, url: server.Base + s.path}
	if own := strings.Trim(server.Path, "/"); own != "" { // it names where the signal goes
		c.url = server.Base + "/" + own
	}
	return c, nil
}

// Close closes the connections of a client that is ours.
func (c *Client) Close() error { return c.server.Close() }

// Ping sends a request of nothing, which every receiver takes.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Send(ctx, nil)
	return err
}

// Refused is what a server took a request without.
type Refused struct {
	Items  int
	Reason string
}

// Send sends an export request in protobuf. What may be sent again is
// ErrUnavailable, and Pause says when; other errors are final.
func (c *Client) Send(ctx context.Context, body []byte) (Refused, error) {
	kind := "application/x-protobuf"
	if c.JSON {
		kind = "application/json"
		body = c.signal.JSON(nil, body)
	}
	packed := false
	if !c.Plain {
		body, packed = post.Pack(body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, stdbytes.NewReader(body))
	if err != nil {
		return Refused{}, fault.Mark(fault.Invalid, err)
	}
	for k, v := range c.Header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", kind)
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.server.Do(req)
	if err != nil {
		return Refused{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		if err != nil {
			return Refused{}, fault.Mark(fault.Unavailable, err)
		}
		return partial(answer, c.JSON), nil
	}
	err = fmt.Errorf("POST %s: %s: %s", conn.Redact(c.url), resp.Status, reason(answer, resp.Header.Get("Content-Type")))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Refused{}, &Again{fault.Mark(fault.Unavailable, err), post.RetryAfter(resp.Header)}
	case http.StatusNotFound:
		return Refused{}, fault.Mark(fault.NotFound, err)
	}
	return Refused{}, fault.Mark(fault.Invalid, err)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// Again is an error after which the request may be sent again, after a pause
// of at least After.
type Again struct {
	error
	After time.Duration
}

func (e *Again) Unwrap() error { return e.error }

// Pause returns how long the server asked to wait, or 0.
func Pause(err error) time.Duration {
	var a *Again
	if errors.As(err, &a) {
		return a.After
	}
	return 0
}

// partial reads the partial success of an Export…ServiceResponse: in all three
// signals field 1 is the number of what was rejected, field 2 the reason.
func partial(answer []byte, inJSON bool) (r Refused) {
	if inJSON {
		var a struct {
			PartialSuccess map[string]json.RawMessage `json:"partialSuccess"`
		}
		_ = json.Unmarshal(answer, &a) // an empty answer is a success
		for k, v := range a.PartialSuccess {
			switch k {
			case "rejectedSpans", "rejectedDataPoints", "rejectedLogRecords":
				r.Items, _ = strconv.Atoi(strings.Trim(string(v), `"`)) // a number or a string
			case "errorMessage":
				_ = json.Unmarshal(v, &r.Reason)
			}
		}
		r.Items = max(0, r.Items)
		return r
	}
	for f, b, ok := Next(answer); ok; f, b, ok = Next(b) {
		if f.Number != 1 {
			continue
		}
		for g, c, ok := Next(f.Bytes); ok; g, c, ok = Next(c) {
			switch g.Number {
			case 1:
				r.Items = int(max(0, int64(g.Int)))
			case 2:
				r.Reason = string(g.Bytes)
			}
		}
	}
	return r
}

// reason is what an answer says in a google.rpc.Status, or as it is.
func reason(answer []byte, kind string) string {
	if strings.HasPrefix(kind, "application/x-protobuf") {
		for f, b, ok := Next(answer); ok; f, b, ok = Next(b) {
			if f.Number == 2 {
				return string(f.Bytes[:min(len(f.Bytes), 512)])
			}
		}
		return ""
	}
	return string(stdbytes.TrimSpace(answer[:min(len(answer), 512)]))
}
