package rabbitmq

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The stream of the groups tells which there are: the first entry of a name counts, until
// that one is deleted.
func TestWhatTheRegistrySays(t *testing.T) {
	made := func(name, id string) string { return fmt.Sprintf(`{"name":%q,"id":%q}`, name, id) }
	deleted := func(name, id string) string { return fmt.Sprintf(`{"name":%q,"id":%q,"deleted":true}`, name, id) }
	for name, c := range map[string]struct {
		entries []string
		want    string
	}{
		"nothing": {nil, ""}, "one": {[]string{made("g", "1")}, "g 1"}, "two": {[]string{made("g", "1"), made("h", "2")}, "g 1, h 2"},
		"made twice": {[]string{made("g", "1"), made("g", "2")}, "g 1"}, "deleted": {[]string{made("g", "1"), deleted("g", "1")}, ""},
		"another deleted": {[]string{made("g", "1"), deleted("g", "2")}, "g 1"}, "deleted before": {[]string{deleted("g", "1"), made("g", "2")}, "g 2"},
		"deleted, and never made": {[]string{deleted("g", "1")}, ""}, "made again": {[]string{made("g", "1"), deleted("g", "1"), made("g", "2")}, "g 2"},
		"no name": {[]string{made("", "1")}, ""}, "somebody else's": {[]string{"nonsense", made("g", "1")}, "g 1"},
	} {
		r := newRegistry()
		for i, text := range c.entries {
			r.read(&amqp.Delivery{Headers: amqp.Table{offset: int64(i)}, Body: []byte(text)})
		}
		if len(c.entries) > 0 {
			r.read(&amqp.Delivery{Headers: amqp.Table{offset: int64(0)}, Body: []byte(made("late", "1"))}) // where it has read
		}
		var got []string
		for _, g := range slices.SortedFunc(maps.Values(r.groups), func(a, b group) int { return strings.Compare(a.Name, b.Name) }) {
			got = append(got, g.Name+" "+g.ID)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A queue gets what the stream has, with what a reader of the stream makes of it.
func TestWhatAQueueIsGiven(t *testing.T) {
	one := amqp.Delivery{
		Headers: amqp.Table{offset: int64(7)}, ContentType: "text/plain", ContentEncoding: "e", CorrelationId: "c", ReplyTo: "r",
		MessageId: "1", Timestamp: published, Type: "t", AppId: "a", Body: []byte("d"),
	}
	want := amqp.Publishing{
		Headers: amqp.Table{offset: int64(7)}, ContentType: "text/plain", ContentEncoding: "e", CorrelationId: "c", ReplyTo: "r", DeliveryMode: amqp.Persistent,
		MessageId: "1", Timestamp: published, Type: "t", AppId: "a", Body: []byte("d"),
	}
	long := strings.Repeat("l", maxShort+1)
	for name, c := range map[string]struct {
		change func(d *amqp.Delivery)
		typ    string
		want   func(p *amqp.Publishing)
	}{
		"all":               {func(*amqp.Delivery) {}, "t", func(*amqp.Publishing) {}},
		"another type":      {func(*amqp.Delivery) {}, "key", func(*amqp.Publishing) {}},
		"no type":           {func(d *amqp.Delivery) { d.Type = "" }, "key", func(p *amqp.Publishing) { p.Type = "key" }},
		"no type, long key": {func(d *amqp.Delivery) { d.Type = "" }, long, func(p *amqp.Publishing) { p.Type = long[:maxShort] }},
		"no id":             {func(d *amqp.Delivery) { d.MessageId = "" }, "t", func(p *amqp.Publishing) { p.MessageId = "message-7" }},
	} {
		d, want := one, want
		c.change(&d)
		c.want(&want)
		if got := again(&d, c.typ); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}
