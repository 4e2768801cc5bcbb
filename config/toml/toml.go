// Package toml is the TOML 1.1 format for config's sources.
//
//	file.Source("app.toml", file.WithFormat(toml.Format{}))
package toml

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// mostKeys bounds a document, since the parser's time grows with the square of
// the keys of a table: these take it less than a tenth of a second. The names of tables count
// too, and each part of a dotted key.
const mostKeys = 5_000

// Format reads one TOML document of at most 5000 keys, those of tables and of
// dotted names included. Dates and times become strings as RFC 3339
// writes them. nan and inf are refused.
type Format struct{}

// Name returns "toml".
func (Format) Name() string { return "toml" }

// Extensions returns ".toml".
func (Format) Extensions() []string { return []string{".toml"} }

// Parse reads the document; nil if there is none but comments.
func (Format) Parse(data []byte) (n *config.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = nil, &config.SyntaxError{Problem: fmt.Sprint(p)}
		}
	}()
	if deep(data) {
		return nil, &config.SyntaxError{Problem: "nested too deeply"}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if tooMany(data) {
		return nil, &config.SyntaxError{Problem: fmt.Sprintf("more than %d keys", mostKeys)}
	}
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := at.Position()
			return nil, &config.SyntaxError{Line: line, Column: column, Problem: quoted.ReplaceAllString(at.Error(), "")}
		}
		return nil, &config.SyntaxError{Problem: err.Error()}
	}
	if len(doc) == 0 {
		return nil, nil
	}
	return convert(doc, "", lines(data), position{})
}

// quoted is how strconv repeats a number, which may be somebody's password.
var quoted = regexp.MustCompile(`parsing "[^"]*": `)

// tooMany reports whether there are more keys than mostKeys up to the first
// mistake, where Unmarshal ends too. It takes time in proportion to the size.
func tooMany(data []byte) bool {
	var p unstable.Parser
	p.Reset(data)
	keys := 0
	for p.NextExpression() && keys <= mostKeys {
		keys += count(p.Expression())
	}
	return keys > mostKeys
}

// count counts the parts of the keys of an expression and of the inline tables
// in its value.
func count(n *unstable.Node) int {
	keys := 0
	if n.Kind == unstable.KeyValue || n.Kind == unstable.Table || n.Kind == unstable.ArrayTable {
		for it := n.Key(); it.Next(); {
			keys++
		}
	}
	switch n.Kind {
	case unstable.KeyValue:
		keys += count(n.Value())
	case unstable.InlineTable, unstable.Array:
		for it := n.Children(); it.Next(); {
			keys += count(it.Node())
		}
	}
	return keys
}

// mostOpen is how many brackets may be open at once, counting those in strings:
// far more than a document needs, far less than a recursive parser's stack.
const mostOpen = 10_000

// deep reports whether more are open.
func deep(data []byte) bool {
	open := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			open++
			if open > mostOpen {
				return true
			}
		case ']', '}':
			open = max(0, open-1)
		}
	}
	return false
}

// convert makes a node of what Unmarshal made. at says where each key stands;
// what has none, such as an item of a list, stands where the key around it does.
func convert(v any, path string, at map[string]position, around position) (*config.Node, error) {
	here, ok := at[path]
	if !ok {
		here = around
	}
	n := &config.Node{Line: here.Line, Column: here.Column}
	switch v := v.(type) {
	case bool:
		n.Kind, n.Bool = config.Bool, v
	case int64:
		n.Kind, n.Text = config.Number, strconv.FormatInt(v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, &config.SyntaxError{Line: n.Line, Column: n.Column, Problem: fmt.Sprintf("%v is not a number that configuration can hold", v)}
		}
		n.Kind, n.Text = config.Number, strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		n.Kind, n.Text = config.String, v
	case time.Time:
		n.Kind, n.Text = config.String, v.Format(time.RFC3339Nano)
	case toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		n.Kind, n.Text = config.String, fmt.Sprint(v)
	case []any:
		n.Kind = config.Array
		for i, item := range v {
			sub, err := convert(item, path+"\x00"+strconv.Itoa(i), at, here)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, sub)
		}
	case map[string]any:
		n.Kind = config.Object
		for _, k := range slices.Sorted(maps.Keys(v)) { // errors too come in one order
			sub, err := convert(v[k], path+"\x00"+k, at, here)
			if err != nil {
				return nil, err
			}
			n.Members = append(n.Members, config.Member{Key: k, Value: sub})
		}
	default:
		return nil, &config.SyntaxError{Line: n.Line, Problem: fmt.Sprintf("a value of type %T is not supported", v)}
	}
	return n, nil
}

// position of a key.
type position struct{ Line, Column int }

// lines finds where each key stands. The document is known to be well-formed.
func lines(data []byte) map[string]position {
	at := map[string]position{}
	count := map[string]int{} // items of arrays of tables
	starts := []int{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		path := table
		if e.Kind != unstable.KeyValue {
			path = ""
		}
		var start position
		for it := e.Key(); it.Next(); {
			k := it.Node()
			if start.Line == 0 {
				offset := int(k.Raw.Offset)
				line, _ := slices.BinarySearch(starts, offset+1)
				start = position{line, offset - starts[line-1] + 1}
			}
			path += "\x00" + string(k.Data)
			if n := count[path]; n > 0 && (!it.IsLast() || e.Kind == unstable.Table) {
				path += "\x00" + strconv.Itoa(n-1) // inside the newest table of an array
			}
			if at[path].Line == 0 {
				at[path] = start
			}
		}
		switch e.Kind {
		case unstable.ArrayTable:
			count[path]++
			path += "\x00" + strconv.Itoa(count[path]-1)
			at[path] = start
			table = path
		case unstable.Table:
			table = path
		}
	}
	return at
}
