package kubernetes

import (
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
)

// object is a ConfigMap or a Secret.
type object struct {
	kubernetes.Meta `json:"metadata"`
	Data            map[string]string `json:"data"`       // of a Secret in base64
	Binary          map[string][]byte `json:"binaryData"` // of a ConfigMap
}

// ObjectMeta makes object a kubernetes.Object.
func (o *object) ObjectMeta() *kubernetes.Meta { return &o.Meta }

// kind is one of the two.
type kind struct {
	resource kubernetes.Resource
	secret   bool
}

var kinds = map[string]kind{
	"configmap": {kubernetes.Resource{Version: "v1", Kind: "ConfigMap", Plural: "configmaps"}, false},
	"secret":    {kubernetes.Resource{Version: "v1", Kind: "Secret", Plural: "secrets"}, true},
}

// value returns what a key holds.
func (k kind) value(o *object, key string) ([]byte, error) {
	text, ok := o.Data[key]
	if !ok {
		return o.Binary[key], nil
	}
	if !k.secret {
		return []byte(text), nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.Markf(config.ErrInvalid, "%s: the Secret's data is not base64", key)
	}
	return b, nil
}

// keys returns the names of all values, sorted.
func (o *object) keys() []string {
	keys := slices.Collect(maps.Keys(o.Data))
	keys = slices.AppendSeq(keys, maps.Keys(o.Binary))
	slices.Sort(keys)
	return keys
}

// content makes a content of an object: documents first, then single values.
func (s *source) content(o *object) (config.Content, error) {
	if o == nil {
		return config.Content{}, fault.Markf(config.ErrNotFound, "no %s %s in the namespace %s", s.kind.resource.Kind, s.name, s.resource.Namespace)
	}
	c := config.Content{Revision: o.ResourceVersion}
	var single []config.Part
	var paths []string
	for _, key := range o.keys() {
		if len(s.keys) > 0 && !slices.Contains(s.keys, key) {
			continue
		}
		text, err := s.kind.value(o, key)
		if err != nil {
			return config.Content{}, err
		}
		format, err := s.format(key)
		if err != nil {
			return config.Content{}, err
		}
		if format != nil {
			c.Parts = append(c.Parts, s.below(config.Part{Name: key, Data: text, Format: format, Secret: s.kind.secret}))
			continue
		}
		path := pathOf(key)
		for _, p := range paths {
			if strings.HasPrefix(path, p+".") || strings.HasPrefix(p, path+".") {
				return config.Content{}, fault.Markf(config.ErrInvalid, "%s and %s: one value can't hold the other", p, path)
			}
		}
		paths = append(paths, path)
		single = append(single, config.Part{Name: key, Root: place(s.path, place(path, plain(text))), Secret: s.kind.secret})
	}
	c.Parts = append(c.Parts, single...)
	return c, nil
}

// format returns how a key's document is written; nil is a single value.
func (s *source) format(key string) (config.Format, error) {
	ext := strings.ToLower(path.Ext(key))
	for _, f := range slices.Backward(s.formats) {
		if slices.Contains(f.Extensions(), ext) {
			return f, nil
		}
	}
	switch ext {
	case ".yaml", ".yml", ".toml":
		return nil, fault.Markf(config.ErrInvalid, "%s: no format for %s: give one by WithFormat", key, ext)
	}
	return nil, nil
}

// below reads a document whose values belong below a path.
func (s *source) below(p config.Part) config.Part {
	if s.path != "" {
		p.Format = lower{p.Format, s.path}
	}
	return p
}

// lower is a format whose documents are put below a path.
type lower struct {
	config.Format
	path string
}

func (l lower) Parse(data []byte) (*config.Node, error) {
	n, err := l.Format.Parse(data)
	if err != nil || n == nil {
		return n, err
	}
	if n.Kind != config.Object {
		return nil, &config.SyntaxError{Line: n.Line, Column: n.Column, Problem: fmt.Sprintf("the document is of type %v, want object", n.Kind)}
	}
	return place(l.path, n), nil
}

// place puts a value at a path.
func place(path string, n *config.Node) *config.Node {
	if path == "" {
		return n
	}
	keys := config.SplitPath(path)
	for _, key := range slices.Backward(keys) {
		n = &config.Node{Kind: config.Object, Members: []config.Member{{Key: key, Value: n}}}
	}
	return n
}

// plain is a single value, without one newline at its end. What is no text is
// base64, as a []byte is written.
func plain(b []byte) *config.Node {
	n := &config.Node{Kind: config.Text}
	if !utf8.Valid(b) {
		n.Text = base64.StdEncoding.EncodeToString(b)
		return n
	}
	n.Text = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	return n
}

// pathOf returns where a key's value belongs: "server.addr" is a path, and
// ".dockerconfigjson", which can't be one, a single key.
func pathOf(key string) string {
	if slices.Contains(strings.Split(key, "."), "") {
		return config.Path(key)
	}
	return key
}
