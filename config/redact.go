package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

const redacted = "[redacted]"

// secrets knows which paths are secret. Bindings add theirs while it is in use.
type secrets struct {
	mu       sync.RWMutex
	patterns [][]string // keys; "*" stands for any one key
}

func (s *secrets) add(pattern string) {
	keys := SplitPath(pattern)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patterns = append(s.patterns, keys)
}

// secret reports whether nothing of the value at path may be shown: its key, or
// one above it, says so, or a pattern covers it.
func (s *secrets) secret(path string) bool {
	keys := SplitPath(path)
	if slices.ContainsFunc(keys, secretName) {
		return true
	}
	if s == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.patterns, func(p []string) bool { return covers(p, keys) })
}

// hides is secret for a value that is known: numbers that count secrets are
// shown, texts are hidden by more names.
func (s *secrets) hides(path string, t *tree) bool {
	if t.kind == Null {
		return false
	}
	if t.secret {
		return true
	}
	key := lastKey(path)
	if t.kind == Number && amount(key) {
		return false
	}
	if s.secret(path) {
		return true
	}
	if t.kind != String && t.kind != Text || t.text == "" {
		return false
	}
	if secretText(key) {
		return true
	}
	_, known := mask(t.text)
	return !known && connectionName(key)
}

// lastKey is the last key of a path that is no index.
func lastKey(path string) string {
	for _, key := range slices.Backward(SplitPath(path)) {
		if strings.Trim(key, "0123456789") != "" {
			return key
		}
	}
	return ""
}

func covers(pattern, keys []string) bool {
	if len(pattern) > len(keys) {
		return false
	}
	for i, p := range pattern {
		if p != "*" && p != keys[i] {
			return false
		}
	}
	return true
}

// Secret is a string that shows itself nowhere but in Reveal: not by fmt, not
// in JSON, not in a log. Use it as the type of a bound field, an exported one:
// fmt prints unexported fields without asking their types. So do its verbs %p
// and %w, which go vet refuses here.
type Secret string

// Reveal returns the secret.
func (s Secret) Reveal() string { return string(s) }

// String returns a placeholder, or "" for the empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString returns a placeholder.
func (s Secret) GoString() string { return `config.Secret("` + s.String() + `")` }

// Format writes a placeholder for every verb: fmt would answer one that doesn't
// fit a string with the string.
func (s Secret) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('#'):
		fmt.Fprint(f, s.GoString())
	case verb == 'q':
		fmt.Fprintf(f, "%q", s.String())
	default:
		fmt.Fprint(f, s.String())
	}
}

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns a placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// redaction is how values are written for people.
type redaction struct {
	*secrets
	all bool // all of this value is secret
}

func (r *redaction) hides(path string, t *tree) bool {
	return t.kind != Null && r.all || r.secrets.hides(path, t)
}

// beside is the redaction of the member of t with that key: where another one
// names it, as in {"name": "DB_PASSWORD", "value": "…"}, its name counts.
func (r *redaction) beside(t *tree, key string) *redaction {
	if r == nil || r.all || !strings.EqualFold(key, "value") && !strings.EqualFold(key, "val") {
		return r
	}
	for _, m := range t.members {
		switch strings.ToLower(m.key) {
		case "name", "key", "header", "env":
			if n := m.val; (n.kind == String || n.kind == Text) && (secretName(n.text) || secretText(n.text)) {
				return &redaction{r.secrets, true}
			}
		}
	}
	return r
}

// after is the redaction of item i of t: what follows the flag --password is
// its value.
func (r *redaction) after(t *tree, i int) *redaction {
	if r == nil || r.all || i == 0 {
		return r
	}
	flag := t.items[i-1]
	if (flag.kind == String || flag.kind == Text) && strings.HasPrefix(flag.text, "-") && !strings.Contains(flag.text, "=") && secretName(flag.text) {
		return &redaction{r.secrets, true}
	}
	return r
}
