package kubernetes

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/micro/go-platform/internal/fault"
)

// Get reads an object.
func Get[T any, P Object[T]](ctx context.Context, c *Conn, r Resource, name string) (P, error) {
	err := ValidName(name)
	if err != nil {
		return nil, err
	}
	return exchange[T, P](ctx, c, request{method: http.MethodGet, path: r.path(name)})
}

// Create makes an object, in the namespace of the resource, and returns it as
// the server has it.
func Create[T any, P Object[T]](ctx context.Context, c *Conn, r Resource, o P) (P, error) {
	return exchange[T, P](ctx, c, request{method: http.MethodPost, path: r.path(""), body: o})
}

// Update replaces an object. With a ResourceVersion in it that is not the
// present one it fails with fault.Conflict and changes nothing.
func Update[T any, P Object[T]](ctx context.Context, c *Conn, r Resource, o P) (P, error) {
	name := o.ObjectMeta().Name
	err := ValidName(name)
	if err != nil {
		return nil, err
	}
	return exchange[T, P](ctx, c, request{method: http.MethodPut, path: r.path(name), body: o})
}

// MergePatch changes what the document names (RFC 7396).
func MergePatch[T any, P Object[T]](ctx context.Context, c *Conn, r Resource, name string, doc any) (P, error) {
	err := ValidName(name)
	if err != nil {
		return nil, err
	}
	return exchange[T, P](ctx, c, request{method: http.MethodPatch, path: r.path(name), kind: "application/merge-patch+json", body: doc})
}

// exchange sends a request whose answer is an object.
func exchange[T any, P Object[T]](ctx context.Context, c *Conn, r request) (P, error) {
	o := P(new(T))
	r.into = o
	err := c.call(ctx, r)
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Preconditions of Delete; empty ones don't count.
type Preconditions struct {
	UID             string `json:"uid,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// Delete removes an object, or fails with fault.Conflict if it is not as the
// preconditions say.
func (c *Conn) Delete(ctx context.Context, r Resource, name string, p Preconditions) error {
	err := ValidName(name)
	if err != nil {
		return err
	}
	doc := map[string]any{"apiVersion": "v1", "kind": "DeleteOptions"}
	if p != (Preconditions{}) {
		doc["preconditions"] = p
	}
	return c.call(ctx, request{method: http.MethodDelete, path: r.path(name), body: doc})
}

// page is one answer of a list.
type page[P any] struct {
	Meta struct {
		ResourceVersion string `json:"resourceVersion"`
		Continue        string `json:"continue"`
	} `json:"metadata"`
	Items []P `json:"items"`
}

// pageSize is how many objects are asked for at once.
const pageSize = 500

// List reads a collection, in pages, as it is now, and returns the version that
// a watch goes on from.
func List[T any, P Object[T]](ctx context.Context, c *Conn, r Resource, s Selector) (all []P, version string, err error) {
	size := c.page
	for again := 0; ; again++ {
		all, version, err = listOnce[T, P](ctx, c, r, s, size)
		switch {
		case errors.Is(err, ErrGone) && again < 3:
			// A page came too late to go on: from the start, with larger pages.
			size *= 4
		case errors.Is(err, errLong) && size > 1:
			size = max(1, size/8)
		default:
			if errors.Is(err, ErrGone) {
				err = fault.Mark(fault.Unavailable, err)
			}
			return all, version, err
		}
	}
}

func listOnce[T any, P Object[T]](ctx context.Context, c *Conn, r Resource, s Selector, size int) (all []P, version string, err error) {
	q := s.query()
	q.Set("limit", strconv.Itoa(size))
	for {
		var p page[P]
		err := c.call(ctx, request{method: http.MethodGet, path: r.path(""), query: q, accept: r.accept("PartialObjectMetadataList"), into: &p})
		if err != nil {
			return nil, "", err
		}
		all = append(all, p.Items...)
		if p.Meta.Continue == "" {
			return all, p.Meta.ResourceVersion, nil
		}
		q.Set("continue", p.Meta.Continue)
	}
}

// Probe asks for one object of a collection, from the store itself, and forgets
// it: it fails if the server, its store or the right to list is missing.
func (c *Conn) Probe(ctx context.Context, r Resource) error {
	return c.call(ctx, request{method: http.MethodGet, path: r.path(""), query: url.Values{"limit": {"1"}}, accept: Resource{Bare: true}.accept("PartialObjectMetadataList"), into: &page[struct{}]{}})
}
