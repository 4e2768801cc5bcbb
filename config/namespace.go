package config

import (
	"fmt"
	"strings"
)

// Namespaces returns the names of the documents that make up a namespace, base
// first: Namespaces("shop", "prod", "orders") is "shop", "shop/prod",
// "shop/prod/orders". The usual parts are base, environment, service, instance.
// A part is not empty and holds no slash; at least one is needed.
func Namespaces(parts ...string) ([]string, error) {
	if len(parts) == 0 {
		return nil, fmt.Errorf("a namespace needs at least one part: %w", ErrInvalid)
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		if p == "" || p == "." || p == ".." || strings.ContainsFunc(p, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("part %q of a namespace: %w", p, ErrInvalid)
		}
		names[i] = strings.Join(parts[:i+1], "/")
	}
	return names, nil
}
