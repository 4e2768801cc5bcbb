package auth

import (
	"net/url"
	"strings"
)

// PathOption changes what NormalizePath takes. The zero option changes nothing.
type PathOption struct{ slashes bool }

func takesSlashes(o PathOption) bool { return o.slashes }

// EncodedSlashes lets a percent-encoded slash (%2F) through, as a part of its
// segment, so that names with slashes can be values in a path. It stays "%2F" in
// URL.Path, for the policy, the router and the handler alike: a request for
// /files/a%2Fb is below "/files/" and not below "/files/a/", whichever router
// there is and whether it matches URL.Path or the escaped form. A handler decodes
// the value that it gets with DecodeSlashes, last of all. One that sends the
// path on, such as a proxy, has to decode it first.
//
// What else NormalizePath refuses it refuses behind an encoded slash, too, such
// as "..%2F" or "%2F%2F". A slash that is encoded twice, %252F, is refused.
func EncodedSlashes() PathOption { return PathOption{slashes: true} }

// WithEncodedSlashes is EncodedSlashes for Handler.
func WithEncodedSlashes() HandlerOption {
	return func(h *handler) error { h.path = append(h.path, EncodedSlashes()); return nil }
}

var slashDecoder = strings.NewReplacer("%2F", "/", "%2f", "/")

// DecodeSlashes returns a value of a path with its encoded slashes decoded: see
// EncodedSlashes.
func DecodeSlashes(value string) string { return slashDecoder.Replace(value) }

// hiddenSlash reports whether the escaped form has fewer slashes than the path.
func hiddenSlash(u *url.URL) bool {
	return u.RawPath != "" && strings.Count(u.RawPath, "/") != strings.Count(u.Path, "/")
}

// keepSlashes decodes an escaped path that checkPath has looked at, but for its
// slashes.
func keepSlashes(raw string) string {
	segments := strings.Split(raw, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err == nil {
			segments[i] = strings.ReplaceAll(decoded, "/", "%2F")
		}
	}
	return strings.Join(segments, "/")
}
