// Package yaml is the YAML format for config's sources.
//
//	file.Source("app.yaml", file.WithFormat(yaml.Format{}))
package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/micro/go-platform/config"
	"go.yaml.in/yaml/v3"
)

// Format reads one YAML document: JSON, or the syntax of YAML 1.1 with the
// values of 1.2, where yes and on are strings.
//
// Timestamps stay strings, keys that are no strings become strings, anchors and
// merge keys (<<) are expanded within a bound. Refused, with the line: a second
// document, duplicate keys, .nan and .inf, tags of your own, and whole numbers
// with a leading zero, which YAML 1.1 and 1.2 read differently (write 0o17 or
// "017").
type Format struct{}

// Name returns "yaml".
func (Format) Name() string { return "yaml" }

// Extensions returns ".yaml" and ".yml".
func (Format) Extensions() []string { return []string{".yaml", ".yml"} }

// Parse reads the document; nil if there is none but comments.
func (Format) Parse(data []byte) (n *config.Node, err error) {
	defer func() { // the parser panics on some malformed input
		if p := recover(); p != nil {
			n, err = nil, &config.SyntaxError{Problem: fmt.Sprint(p)}
		}
	}()
	if start := bytes.TrimLeft(data, "\xef\xbb\xbf \t\r\n"); bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("[")) {
		n, err := config.JSON{}.Parse(data) // the parser below doesn't know all of JSON's escapes
		if err == nil {
			return n, nil
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(version.ReplaceAll(data, []byte("${1}1"))))
	var doc yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntax(err)
	}
	var second yaml.Node
	switch err := d.Decode(&second); {
	case err == nil:
		return nil, &config.SyntaxError{Line: second.Line, Column: second.Column, Problem: "a second document; one is allowed"}
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	if len(doc.Content) != 1 || doc.Content[0].ShortTag() == "!!null" && doc.Content[0].Value == "" {
		return nil, nil
	}
	c := converter{budget: min(10_000+10*len(data), mostValues), open: map[*yaml.Node]bool{}}
	return c.convert(doc.Content[0], 0)
}

// version begins a document that says it is YAML 1.2, which the parser refuses
// although it reads it.
var version = regexp.MustCompile(`\A(\x{feff}?(?:[ \t]*(?:#[^\n]*)?\r?\n)*%YAML[ \t]+1\.)2\b`)

var lineOf = regexp.MustCompile(`line (\d+): (.*)`)

// fromZero are the problems for which the parser counts lines from 0, and says
// nothing of line 0.
var fromZero = regexp.MustCompile(`^(did not find expected (',' or|'-' indicator|<|key|node content)|found (duplicate %|incompatible|undefined tag)|while parsing)`)

// syntax finds the line in the text of the parser's error.
func syntax(err error) error {
	e := &config.SyntaxError{Problem: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := lineOf.FindStringSubmatch(e.Problem); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Problem = m[2]
	}
	if fromZero.MatchString(e.Problem) {
		e.Line++
	}
	return e
}

// mostValues is a little above what config accepts, so that the error of a
// large document is config's own.
const mostValues = 600_000

type converter struct {
	budget int // values that may still be made: aliases multiply
	open   map[*yaml.Node]bool
}

func fail(n *yaml.Node, format string, args ...any) error {
	return &config.SyntaxError{Line: n.Line, Column: n.Column, Problem: fmt.Sprintf(format, args...)}
}

// maxDepth stops before the front does, which would be too late for a cycle.
const maxDepth = 120

func (c *converter) convert(n *yaml.Node, depth int) (*config.Node, error) {
	c.budget--
	if c.budget < 0 {
		return nil, fail(n, "too many values, once aliases are expanded")
	}
	if depth > maxDepth {
		return nil, fail(n, "nested deeper than %d levels", maxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		if c.open[n.Alias] {
			return nil, fail(n, "alias *%s contains itself", n.Value)
		}
		return c.convert(n.Alias, depth+1)
	case yaml.ScalarNode:
		return scalar(n)
	}
	c.open[n] = true
	defer delete(c.open, n)
	out := &config.Node{Line: n.Line, Column: n.Column}
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.SequenceNode && tag == "!!seq":
		out.Kind = config.Array
		for _, item := range n.Content {
			v, err := c.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, v)
		}
		return out, nil
	case n.Kind == yaml.MappingNode && tag == "!!map":
		out.Kind = config.Object
		return out, c.mapping(n, out, depth)
	default:
		return nil, fail(n, "tag %s is not supported", n.Tag)
	}
}

func (c *converter) mapping(n *yaml.Node, out *config.Node, depth int) error {
	var merges []*yaml.Node
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return fail(k, "a key must be a single value")
		}
		val, err := c.convert(v, depth+1)
		if err != nil {
			return err
		}
		val.Line, val.Column = n.Content[i].Line, n.Content[i].Column // where a person looks
		out.Members = append(out.Members, config.Member{Key: k.Value, Value: val})
	}
	if len(merges) == 0 {
		return nil
	}
	have := make(map[string]bool, len(out.Members))
	for _, x := range out.Members {
		have[x.Key] = true
	}
	for _, m := range merges {
		if err := c.mergeKey(m, out, have, depth); err != nil {
			return err
		}
	}
	return nil
}

// mergeKey adds what "<<" refers to: keys that are there already win, earlier
// mappings win over later ones.
func (c *converter) mergeKey(m *yaml.Node, out *config.Node, have map[string]bool, depth int) error {
	v, err := c.convert(m, depth+1)
	if err != nil {
		return err
	}
	all := []*config.Node{v}
	if v.Kind == config.Array {
		all = v.Items
	}
	for _, o := range all {
		if o.Kind != config.Object {
			return fail(m, "<< needs a mapping or a list of mappings")
		}
		for _, x := range o.Members {
			if !have[x.Key] {
				have[x.Key] = true
				out.Members = append(out.Members, x)
			}
		}
	}
	return nil
}

func scalar(n *yaml.Node) (*config.Node, error) {
	out := &config.Node{Line: n.Line, Column: n.Column}
	switch tag := n.ShortTag(); tag {
	case "!!null":
		out.Kind = config.Null
	case "!!bool":
		out.Kind = config.Bool
		return out, n.Decode(&out.Bool)
	case "!!str", "!!timestamp":
		out.Kind, out.Text = config.String, n.Value
	case "!!int":
		out.Kind = config.Number
		return out, integer(n, out)
	case "!!float":
		out.Kind = config.Number
		if digits.MatchString(n.Value) { // too large for the parser's integers, or with a zero before 8 or 9
			return out, integer(n, out)
		}
		var f float64
		err := n.Decode(&f)
		if err != nil {
			return nil, fail(n, "not a number")
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fail(n, "%s is not a number that configuration can hold", n.Value)
		}
		out.Text = strconv.FormatFloat(f, 'g', -1, 64)
	default:
		return nil, fail(n, "tag %s is not supported", n.Tag)
	}
	return out, nil
}

var (
	digits      = regexp.MustCompile(`^[-+]?[0-9][0-9_]*$`)
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9_]+$`)
)

// integer reads a whole number. Its errors don't repeat it: it may be somebody's
// password.
func integer(n *yaml.Node, out *config.Node) error {
	if leadingZero.MatchString(n.Value) {
		return fail(n, "a number with a leading zero: begin with 0o for octal, or quote it")
	}
	if digits.MatchString(n.Value) { // of any size
		out.Text = strings.TrimPrefix(strings.ReplaceAll(n.Value, "_", ""), "+")
		return nil
	}
	var i int64
	if err := n.Decode(&i); err == nil {
		out.Text = strconv.FormatInt(i, 10)
		return nil
	}
	var u uint64
	if err := n.Decode(&u); err != nil {
		return fail(n, "a number out of range")
	}
	out.Text = strconv.FormatUint(u, 10)
	return nil
}
