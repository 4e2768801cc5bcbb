package trace

import (
	"net/textproto"
	"strings"
)

// Header makes an http.Header a Carrier: trace.Header(req.Header).
type Header map[string][]string

// Get returns the first value of key.
func (h Header) Get(key string) string { return textproto.MIMEHeader(h).Get(key) }

// Values returns all values of key.
func (h Header) Values(key string) []string { return textproto.MIMEHeader(h).Values(key) }

// Set replaces the values of key.
func (h Header) Set(key, value string) { textproto.MIMEHeader(h).Set(key, value) }

// Metadata makes a map with lower-case keys, such as gRPC's metadata.MD, a Carrier.
type Metadata map[string][]string

// Get returns the first value of key.
func (m Metadata) Get(key string) string {
	if v := m[strings.ToLower(key)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Values returns all values of key.
func (m Metadata) Values(key string) []string { return m[strings.ToLower(key)] }

// Set replaces the values of key.
func (m Metadata) Set(key, value string) { m[strings.ToLower(key)] = []string{value} }

// Map makes a map of strings, such as the metadata of a message, a Carrier. It
// finds a key in any spelling and sets it in lower case.
type Map map[string]string

func (m Map) find(key string) (string, string, bool) {
	lower := strings.ToLower(key)
	if v, ok := m[lower]; ok {
		return lower, v, true
	}
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return k, v, true
		}
	}
	return lower, "", false
}

// Get returns the value of key.
func (m Map) Get(key string) string {
	_, v, _ := m.find(key)
	return v
}

// Values returns the value of key, if there is one.
func (m Map) Values(key string) []string {
	if _, v, ok := m.find(key); ok {
		return []string{v}
	}
	return nil
}

// Set replaces the value of key.
func (m Map) Set(key, value string) {
	k, _, _ := m.find(key)
	m[k] = value
}
