package config

import (
	"bytes"
	"fmt"

	"github.com/micro/go-platform/internal/strictjson"
)

// JSON is the format of RFC 8259, read strictly: one document, valid UTF-8, no
// duplicate keys, no lone surrogates. A byte order mark is skipped.
type JSON struct{}

// Name returns "json".
func (JSON) Name() string { return "json" }

// Extensions returns ".json".
func (JSON) Extensions() []string { return []string{".json"} }

// Parse reads one document. Its nodes carry line and column.
func (JSON) Parse(data []byte) (*Node, error) {
	p := parser{Reader: strictjson.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), maxDepth), size: len(data)}
	if p.Empty() {
		return nil, &SyntaxError{Problem: "empty document"}
	}
	n, err := p.value()
	if err == nil {
		err = p.End()
	}
	if bad, ok := err.(*strictjson.Error); ok {
		err = &SyntaxError{Line: bad.Line, Column: bad.Column, Problem: bad.Problem}
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

type parser struct {
	*strictjson.Reader
	size  int
	count int
	slab  []Node // to be handed out: one allocation for many nodes
}

func (p *parser) node() *Node {
	if len(p.slab) == 0 {
		p.slab = make([]Node, min(64, 4+p.size/32))
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	n.Line, n.Column = p.Position()
	return n
}

func (p *parser) value() (*Node, error) {
	n := p.node()
	p.count++
	if p.count > maxNodes {
		return nil, &SyntaxError{Line: n.Line, Column: n.Column, Problem: fmt.Sprintf("more than %d values", maxNodes)}
	}
	kind, err := p.Next()
	if err != nil {
		return nil, err
	}
	switch kind {
	case strictjson.Object:
		n.Kind = Object
		err = p.Object(func(key string) error {
			v, err := p.value()
			if n.Members == nil {
				n.Members = make([]Member, 0, 8)
			}
			n.Members = append(n.Members, Member{key, v})
			return err
		})
	case strictjson.Array:
		n.Kind = Array
		err = p.Array(func() error {
			v, err := p.value()
			n.Items = append(n.Items, v)
			return err
		})
	case strictjson.String:
		n.Kind = String
		n.Text, err = p.Text()
	case strictjson.Number:
		n.Kind = Number
		n.Text, err = p.Number()
	case strictjson.True, strictjson.False:
		n.Kind, n.Bool = Bool, kind == strictjson.True
	case strictjson.Null:
		n.Kind = Null
	}
	return n, err
}
