package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
)

// ErrPath is what NormalizePath refuses: a path that two readers could read in
// two ways. Over HTTP it is 400. It is an ErrInvalid too.
var ErrPath = fault.Finer(ErrInvalid, "the path can be read in two ways")

// NormalizePath makes sure that a policy and a handler read the same path. A
// router may route on URL.Path or on URL.EscapedPath, cleaned or not; so that
// all of them come to the same result as the policy, a path that would make a
// difference is refused with ErrPath:
//
//   - a segment "." or "..", or an empty one but the last
//   - a slash that is percent-encoded (%2F), unless EncodedSlashes is given
//   - a backslash, a control character, or what is not UTF-8
//   - what could be decoded once more, such as %252e
//   - a URL.RawPath that is not an encoding of URL.Path
//   - no path at all ("OPTIONS *", "GET mailto:x"), unless the method is CONNECT
//
// Escapes don't hide any of this. Every other escape is decoded for everybody:
// the request that is returned has no URL.RawPath, and its path begins with a
// slash. It is r itself if there is nothing to change, else a copy; hand it on
// to the handler. RequestURI stays as the client sent it.
//
// Handler and package wrapper call it before anything else.
func NormalizePath(r *http.Request, opts ...PathOption) (*http.Request, error) {
	if r.URL.RawPath == "" && plainPath(r.URL.Path) {
		return r, nil
	}
	slashes := slices.ContainsFunc(opts, takesSlashes)
	err := checkPath(r, slashes)
	if err != nil {
		return nil, err
	}
	u := *r.URL
	if slashes && hiddenSlash(&u) {
		u.Path = keepSlashes(u.RawPath)
	}
	u.RawPath = ""
	if !strings.HasPrefix(u.Path, "/") && !isAuthority(r) { // http.StripPrefix leaves such
		u.Path = "/" + u.Path
	}
	if u == *r.URL {
		return r, nil
	}
	c := new(http.Request)
	*c = *r
	c.URL = &u
	return c, nil
}

// plainPath reports whether there is nothing to look at closely: the usual
// case, in one pass.
func plainPath(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c < ' ' || c >= 0x7f || c == '\\' || c == '%':
			return false
		case c == '/' && i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.'):
			return false
		}
	}
	return true
}

// isAuthority reports whether r is a CONNECT to a host and port, which has no
// path.
func isAuthority(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.URL.Path == "" && r.URL.Host != ""
}

// checkPath returns why the path of r can't be read in one way.
func checkPath(r *http.Request, slashes bool) error {
	p, raw := r.URL.Path, r.URL.RawPath
	switch {
	case r.URL.Opaque != "" || r.RequestURI == "*":
		return fmt.Errorf("%w: there is none", ErrPath)
	case !utf8.ValidString(p):
		return fmt.Errorf("%w: it is not UTF-8", ErrPath)
	case strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }):
		return fmt.Errorf("%w: it has a backslash or a control character", ErrPath)
	}
	if raw != "" {
		decoded, err := url.PathUnescape(raw)
		if err != nil || decoded != p {
			return fmt.Errorf("%w: its escaped form says something else", ErrPath)
		}
		if !slashes && hiddenSlash(r.URL) {
			return fmt.Errorf("%w: it has an escaped slash", ErrPath)
		}
	}
	if slashes {
		if strings.Contains(strings.ToLower(r.RequestURI), "%252f") {
			return fmt.Errorf("%w: it is escaped twice", ErrPath)
		}
		p = DecodeSlashes(p) // of a request that was normalized before
	}
	for i := 0; i+2 < len(p); i++ {
		if p[i] == '%' && isHex(p[i+1]) && isHex(p[i+2]) {
			return fmt.Errorf("%w: it is escaped twice", ErrPath)
		}
	}
	for rest, more := strings.TrimPrefix(p, "/"), true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "." || segment == ".." || segment == "" && more {
			return fmt.Errorf("%w: the segment %q", ErrPath, segment)
		}
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// RequestFrom is what an HTTP request asks for: its method as the action, its
// path as the resource, or the host and port of a CONNECT. r is a request that
// NormalizePath has returned: any other whose path needs normalizing is an
// ErrPath, so that nobody decides on a path that the handler reads differently.
// The options are those of NormalizePath.
func RequestFrom(service string, r *http.Request, opts ...PathOption) (Request, error) {
	normal, err := NormalizePath(r, opts...)
	if err == nil && normal != r {
		err = fmt.Errorf("%w: it was not normalized", ErrPath)
	}
	if err != nil {
		return Request{}, err
	}
	return Request{Service: service, Action: r.Method, Resource: resourceOf(r)}, nil
}

// resourceOf is the resource of a normalized request.
func resourceOf(r *http.Request) string {
	if isAuthority(r) {
		return r.URL.Host
	}
	return r.URL.Path
}
