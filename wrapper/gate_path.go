package wrapper

import (
	"context"
	"net/http"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
)

// pathGate comes before all other gates. It refuses a request whose path a gate
// and a router could read in two ways.
type pathGate struct{}

func (pathGate) Enter(ctx context.Context, c *Call) (context.Context, error) {
	if c.Protocol == "grpc" {
		return ctx, authdriver.CheckFullMethod(c.Action)
	}
	return ctx, c.pathErr
}

func (pathGate) Leave(context.Context, *Call) {}

// normalize returns the request that gates and handler share, and what is asked
// for. Where no gate decides, the path is the router's business alone.
func (w *Wrapper) normalize(r *http.Request) (normal *http.Request, resource string, err error) {
	if len(w.gates) == 0 {
		return r, r.URL.Path, nil
	}
	normal, err = auth.NormalizePath(r, w.o.path...)
	if err != nil {
		return r, "", err
	}
	req, err := auth.RequestFrom("", normal, w.o.path...)
	return normal, req.Resource, err
}

// WithEncodedSlashes lets a percent-encoded slash (%2F) in the path through to
// gates, router and handler, as "%2F" in URL.Path: see auth.EncodedSlashes. The
// default is to answer 400, where there are gates.
func WithEncodedSlashes() Option {
	return func(o *options) error {
		o.path = append(o.path, auth.EncodedSlashes())
		return nil
	}
}
