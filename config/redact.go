package config

import (
	"log/slog"
	"strings"
	"sync"
)

const redacted = "[redacted]"

// secretNames are the keys whose values are redacted unless told otherwise,
// compared without case, '_' and '-', by the end of the key: "db_password".
var secretNames = [...]string{"password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "accesskey", "credentials"}

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

// secret reports whether the value at path must not be shown: its last key, or
// a key above it, says so, or a pattern covers it.
func (s *secrets) secret(path string) bool {
	keys := SplitPath(path)
	for _, k := range keys {
		if secretName(k) {
			return true
		}
	}
	if s == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.patterns {
		if covers(p, keys) {
			return true
		}
	}
	return false
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

func secretName(key string) bool {
	k := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
	for _, name := range secretNames {
		if strings.HasSuffix(k, name) {
			return true
		}
	}
	return false
}

// Secret is a string that shows itself nowhere but in Reveal: not by fmt, not
// in JSON, not in a log. Use it as the type of a bound field.
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

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns a placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}
