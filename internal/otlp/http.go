package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/post"
)

// poster is OTLP over HTTP.
type poster struct {
	server *post.Server
	url    string // without the signal's path if below
	below  bool
	header http.Header
	plain  bool
	json   bool
}

// overHTTP sends to the signal's path below addr, a "host:port" or a URL. A path of
// the address is that of the one signal, or with Options.Base where those of all
// begin.
func overHTTP(addr string, o *Options) (Transport, error) {
	server, err := post.Open(addr, 4318, o.Client, o.TLS)
	if err != nil {
		return nil, err
	}
	p := &poster{server: server, url: server.Base, below: true, header: o.Header.Clone(), plain: o.Plain, json: o.JSON}
	own := strings.Trim(server.Path, "/")
	if own != "" {
		p.url, p.below = server.Base+"/"+own, o.Base
	}
	if o.Path != "" {
		p.url, p.below = server.Base+o.Path, false
	}
	p.header.Set("Content-Type", "application/x-protobuf")
	if o.JSON {
		p.header.Set("Content-Type", "application/json")
	}
	return p, nil
}

func (p *poster) Close() error { return p.server.Close() }

func (p *poster) Send(ctx context.Context, s Signal, body []byte) (Refused, error) {
	url := p.url
	if p.below {
		url += s.Path
	}
	if p.json {
		body = s.JSON(nil, body)
	}
	packed := false
	if !p.plain {
		body, packed = post.Pack(body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Refused{}, fault.Mark(fault.Invalid, err)
	}
	req.Header = p.header.Clone()
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := p.server.Do(req)
	if err != nil {
		return Refused{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
	if resp.StatusCode/100 == 2 {
		if err != nil {
			return Refused{}, fault.Mark(fault.Unavailable, err)
		}
		if p.json {
			return partialJSON(answer), nil
		}
		return Partial(answer), nil
	}
	err = fmt.Errorf("POST %s: %s: %s", conn.Redact(url), resp.Status, reason(answer, resp.Header.Get("Content-Type")))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Refused{}, Retry(fault.Mark(fault.Unavailable, err), post.RetryAfter(resp.Header))
	case http.StatusNotFound:
		return Refused{}, fault.Mark(fault.NotFound, err)
	}
	return Refused{}, fault.Mark(fault.Invalid, err)
}
