package elastic

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// document is a record as an index has it. Metadata is there three times: as
// text to read, as terms to find by, and by key to sort by. No field is made for
// a key, of which there may be any number.
type document struct {
	ID          string   `json:"id"`
	Version     int64    `json:"version"`
	Created     int64    `json:"created"` // microseconds since 1970
	Updated     int64    `json:"updated"`
	Keys        []string `json:"keys,omitempty"`
	Values      []string `json:"values,omitempty"` // term
	Order       []place  `json:"order,omitempty"`  // of all values; lists have the same
	Metadata    string   `json:"metadata,omitempty"`
	ContentType string   `json:"content_type,omitempty"`
	Data        []byte   `json:"data,omitempty"`
	Write       string   `json:"write"` // names the write, which knows itself by it
}

// place is where a record stands in the order by a key.
type place struct {
	Key   string `json:"key"`
	Value string `json:"value"` // dbvalue.Sortable
}

// unread are the fields that only searches need.
const unread = "keys,values,order"

// element is the type of a list's element, and word that of a word of a string, in
// lower case; the others are the first bytes of dbvalue.Sortable.
const (
	element = 'z'
	word    = 'w'
)

// head is what all terms of a key begin with: its length, so that no key is
// the beginning of another, and the key.
func head(key string) string { return fmt.Sprintf("%02d%s", len(key), key) }

func newDocument(r *db.Record) (document, error) {
	d := document{
		ID: r.ID, Version: int64(r.Version), Created: r.Created.UnixMicro(), Updated: r.Updated.UnixMicro(),
		ContentType: r.ContentType, Data: r.Data,
	}
	if len(r.Metadata) == 0 {
		return d, nil
	}
	md, err := dbdriver.EncodeMetadata(r.Metadata)
	if err != nil {
		return d, fault.Mark(fault.Invalid, err)
	}
	d.Metadata = string(md)
	d.Keys = slices.Sorted(maps.Keys(r.Metadata))
	for _, key := range d.Keys {
		switch v := r.Metadata[key].(type) {
		case []string:
			for _, s := range v {
				d.Values = append(d.Values, head(key)+string(element)+s)
			}
			d.Order = append(d.Order, place{Key: key, Value: dbvalue.Sortable(v)})
		default:
			s := dbvalue.Sortable(v)
			d.Values = append(d.Values, head(key)+s)
			if text, ok := v.(string); ok {
				for _, w := range dbdriver.Words(text) {
					d.Values = append(d.Values, head(key)+string(word)+w)
				}
			}
			d.Order = append(d.Order, place{Key: key, Value: s})
		}
	}
	return d, nil
}

func (d document) record() (*db.Record, error) {
	r := &db.Record{
		ID: d.ID, Version: uint64(d.Version), Created: time.UnixMicro(d.Created).UTC(), Updated: time.UnixMicro(d.Updated).UTC(),
		ContentType: d.ContentType, Data: d.Data,
	}
	if d.Metadata == "" {
		return r, nil
	}
	var err error
	r.Metadata, err = dbdriver.DecodeMetadata([]byte(d.Metadata))
	return r, err
}
