package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/fault"
)

// driver is a set of indices.
type driver struct {
	client *client
	config config

	mu     sync.Mutex
	tables map[string]*table // by the name that db gives
}

func newDriver(c *client, conf config) *driver {
	return &driver{client: c, config: conf, tables: map[string]*table{}}
}

var _ dbdriver.Batcher = (*driver)(nil)

func (d *driver) Features() db.Features {
	return db.Features{
		Durable: true, Shared: true, AnyKey: true, Compare: true, Prefix: true, Contains: true, Exists: true,
		Or: true, Not: true, Order: true, Count: true, FullText: true,
		Immediate: d.config.refresh == RefreshSearches || d.config.refresh == RefreshWrites,
	}
}

func (d *driver) Close() error {
	d.client.close()
	return nil
}

// Ping asks what the server is.
func (d *driver) Ping(ctx context.Context) error {
	var answer struct {
		Version struct{ Number, Distribution string }
	}
	if err := d.client.ask(ctx, request{method: http.MethodGet, path: "/"}, nil, &answer); err != nil {
		return err
	}
	return known(answer.Version.Distribution, answer.Version.Number)
}

// known refuses servers that lack what is needed here: require_alias and
// if_seq_no in bulk requests.
func known(distribution, number string) error {
	name, want := "Elasticsearch", [2]int{7, 10}
	if distribution == "opensearch" {
		name, want = "OpenSearch", [2]int{1, 0}
	}
	major, rest, _ := strings.Cut(number, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	switch {
	case err1 != nil || err2 != nil:
		return fault.Markf(fault.Unavailable, "what answers is neither Elasticsearch nor OpenSearch")
	case a < want[0] || a == want[0] && b < want[1]:
		return fault.Markf(fault.Unsupported, "%s %s, want %d.%d or later", name, number, want[0], want[1])
	}
	return nil
}

// table is the index of a table. Its name is an alias, so that another index
// can be built beside it and take its place.
type table struct {
	name string
	visibility
}

func (d *driver) table(name string) *table {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tables[name]
	if t == nil {
		t = &table{name: d.config.prefix + name, visibility: visibility{turn: make(chan struct{}, 1)}}
		t.written.Store(1)
		d.tables[name] = t
	}
	return t
}

// schema is the version of what Ensure makes.
const schema = 2

// metaKey is where an index says that it is one of this package, and of what
// version.
const metaKey = "go-platform"

type object = map[string]any

// The fields of a document; document.go has what they hold.
var fields = object{
	"id":      object{"type": "keyword"},
	"version": object{"type": "long"},
	"created": object{"type": "long"},
	"updated": object{"type": "long"},
	"keys":    object{"type": "keyword", "doc_values": false},
	"values":  object{"type": "keyword", "doc_values": false},
	"order": object{"type": "nested", "dynamic": "strict", "properties": object{
		"key":   object{"type": "keyword", "doc_values": false},
		"value": object{"type": "keyword", "index": false},
	}},
	"metadata":     object{"type": "keyword", "index": false, "doc_values": false},
	"content_type": object{"type": "keyword", "index": false, "doc_values": false},
	"data":         object{"type": "binary"},
	"write":        object{"type": "keyword", "index": false, "doc_values": false},
}

// maxExpression is how long a regular expression may be: that of a Contains,
// with every character of a value escaped.
const maxExpression = 8192

// Ensure makes the index and its alias. All keys can be searched by.
func (d *driver) Ensure(ctx context.Context, spec db.TableSpec) error {
	name := d.table(spec.Name).name
	settings := object{"max_regex_length": maxExpression}
	if d.config.shards > 0 {
		settings["number_of_shards"] = d.config.shards
	}
	if d.config.replicas >= 0 {
		settings["number_of_replicas"] = d.config.replicas
	}
	if d.config.interval > 0 {
		settings["refresh_interval"] = fmt.Sprintf("%dms", d.config.interval.Milliseconds())
	}
	index := object{
		"settings": object{"index": settings},
		"mappings": object{"dynamic": "strict", "_meta": object{metaKey: object{"schema": schema}}, "properties": fields},
		"aliases":  object{name: object{}},
	}
	for n := 0; ; n++ {
		there, err := d.there(ctx, name)
		if err != nil || there {
			return err
		}
		err = d.client.ask(ctx, request{method: http.MethodPut, path: "/" + name + "-1"}, index, &struct{}{})
		var e *Error
		if !errors.As(err, &e) || e.Type != "resource_already_exists_exception" {
			return err
		}
		if n == 10 {
			return fault.Markf(fault.Invalid, "the index %q is there, without the alias %q", name+"-1", name)
		}
	}
}

// there reports whether a table is there, of a version that we know.
func (d *driver) there(ctx context.Context, name string) (bool, error) {
	var found map[string]struct {
		Mappings struct {
			Meta struct {
				Ours struct{ Schema int } `json:"go-platform"` // metaKey
			} `json:"_meta"`
		}
	}
	err := d.client.ask(ctx, request{method: http.MethodGet, path: "/" + name + "/_mapping"}, nil, &found)
	var e *Error
	if errors.As(err, &e) && (e.missing() || e.Status == http.StatusNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(found) != 1 {
		return false, fault.Markf(fault.Invalid, "the alias %q stands for %d indices, want 1", name, len(found))
	}
	for index, of := range found {
		switch v := of.Mappings.Meta.Ours.Schema; {
		case v == 0 || index == name:
			return false, fault.Markf(fault.Invalid, "the index %q is there, and not made by this package", index)
		case v != schema:
			return false, fault.Markf(fault.Unsupported, "made by another version of this package: schema %d, want %d", v, schema)
		}
	}
	return true, nil
}
