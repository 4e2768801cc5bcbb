package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cluster"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// plain is a node that can do what it says, and nothing beside the main interface.
type plain struct {
	db.Driver
	can     db.Features
	ensured []string
	fail    map[string]error // by ID, or "" for Ensure
	written []string
}

func (p *plain) Features() db.Features { return p.can }

func (p *plain) Ensure(ctx context.Context, t db.TableSpec) error {
	p.ensured = append(p.ensured, t.Name)
	if err := p.fail[""]; err != nil {
		return err
	}
	return p.Driver.Ensure(ctx, t)
}

func (p *plain) Put(ctx context.Context, table string, r *db.Record, c db.Condition) error {
	p.written = append(p.written, "put "+r.ID)
	if err := p.fail[r.ID]; err != nil {
		return err
	}
	return p.Driver.Put(ctx, table, r, c)
}

func (p *plain) Delete(ctx context.Context, table, id string, version uint64) error {
	p.written = append(p.written, fmt.Sprint("delete ", id, " ", version))
	if err := p.fail[id]; err != nil {
		return err
	}
	return p.Driver.Delete(ctx, table, id, version)
}

func memory(t *testing.T) db.Driver {
	t.Helper()
	d, err := db.Memory().OpenDriver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// of is a backend of nodes that are there already, by ID.
func of(nodes map[string]db.Driver) cluster.Option {
	return cluster.WithBackend("fake", func(n cluster.Node) db.Option {
		return db.WithDriver("fake", func(context.Context) (db.Driver, error) { return nodes[n.ID], nil })
	})
}

// driver opens a cluster without its front, as the front does.
func driver(t *testing.T, s *stage, opts ...cluster.Option) db.Driver {
	t.Helper()
	d, err := cluster.FromDiscovery(s.d, "orders", opts...).OpenDriver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	err = d.Ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A cluster can do what every node can.
func TestFeaturesAreThoseOfAllNodes(t *testing.T) {
	order, equal, neither := db.Features{Order: true}, db.Features{OrderEqual: true}, db.Features{}
	type two struct{ a, b, want db.Features }
	all := map[string]two{
		"sorts as every other":         {order, order, order},
		"sorts and by equal":           {order, equal, equal},
		"by equal and sorts":           {equal, order, equal},
		"by equal":                     {equal, equal, equal},
		"sorts and not at all":         {order, neither, neither},
		"by equal and not at all":      {equal, neither, neither},
		"not at all and by equal":      {neither, equal, neither},
		"not at all":                   {neither, neither, neither},
		"each says both: sorting wins": {db.Features{Order: true, OrderEqual: true}, db.Features{Order: true, OrderEqual: true}, order},
	}
	fields := reflect.TypeFor[db.Features]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		if f.Type.Kind() != reflect.Bool || f.Name == "OrderEqual" {
			continue
		}
		var can db.Features
		reflect.ValueOf(&can).Elem().Field(i).SetBool(true)
		all[f.Name] = two{can, can, can}
		if f.Name != "Order" {
			all[f.Name+" of one"] = two{can, db.Features{}, db.Features{}}
			all[f.Name+" of the other"] = two{db.Features{}, can, db.Features{}}
		}
	}
	for name, c := range all {
		s := newStage(t)
		s.register("a", "fake", cluster.Primary)
		s.register("b", "fake", cluster.Primary)
		d := driver(t, s, of(map[string]db.Driver{"a": &plain{Driver: memory(t), can: c.a}, "b": &plain{Driver: memory(t), can: c.b}}))
		if got := d.Features(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A node that came later and can do less than was promised gets no calls.
func TestALaterNodeMustKeepThePromise(t *testing.T) {
	for name, c := range map[string]struct {
		later db.Features
		used  bool
	}{
		"the same": {db.Features{Durable: true}, true},
		"more":     {db.Features{Durable: true, Or: true}, true},
		"less":     {db.Features{Or: true}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.register("a", "fake", cluster.Primary)
			later := &plain{Driver: memory(t), can: c.later}
			d := driver(t, s, of(map[string]db.Driver{"a": &plain{Driver: memory(t), can: db.Features{Durable: true}}, "b": later}))
			if err := d.Ensure(t.Context(), db.TableSpec{Name: "things"}); err != nil {
				t.Fatal(err)
			}
			s.register("b", "fake", cluster.Primary)
			if err := s.regs["a"].Deregister(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			err := d.Put(t.Context(), "things", &db.Record{ID: "1"}, db.Condition{})
			if c.used && err != nil || !c.used && (!errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "can do less")) {
				t.Errorf("%s: %v, want it used: %v", name, err, c.used)
			}
			if (len(later.written) > 0) != c.used {
				t.Errorf("%s: it was written %q", name, later.written)
			}
		})
	}
}

// Instances that are drained, or down, get no calls.
func TestNodesOutOfServiceAreLeftOut(t *testing.T) {
	for status, used := range map[discovery.Status]bool{discovery.Up: true, discovery.Draining: false, discovery.Down: false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.register("a", "fake", cluster.Primary)
			d := driver(t, s, of(map[string]db.Driver{"a": &plain{Driver: memory(t)}}))
			if err := s.regs["a"].Update(t.Context(), func(in *discovery.Instance) { in.Status = status }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := d.Ping(t.Context()); (err == nil) != used || err != nil && !strings.Contains(err.Error(), "no node of db.orders fits: 1 have a driver of [fake]") {
				t.Errorf("%v: %v, want it used: %v", status, err, used)
			}
		})
	}
}

// A node that failed is asked last for a second, and then again in its turn.
func TestANodeThatFailedRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.register("a", "fake", cluster.Primary)
		s.register("b", "fake", cluster.Primary)
		a, b := &plain{Driver: memory(t), fail: map[string]error{"1": fault.Unavailable}}, &plain{Driver: memory(t)}
		d := driver(t, s, of(map[string]db.Driver{"a": a, "b": b}))
		if err := d.Ensure(t.Context(), db.TableSpec{Name: "things"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			wait time.Duration
			id   string
			a, b int
		}{
			{0, "1", 1, 1}, // a fails, b takes it
			{0, "2", 1, 2},
			{time.Second - 1, "3", 1, 3},
			{1, "4", 2, 3},
		} {
			time.Sleep(c.wait)
			if err := d.Put(t.Context(), "things", &db.Record{ID: c.id}, db.Condition{}); err != nil {
				t.Fatal(err)
			}
			if len(a.written) != c.a || len(b.written) != c.b {
				t.Errorf("after %s: writes of a %q and b %q, want %d and %d", c.id, a.written, b.written, c.a, c.b)
			}
		}
	})
}

// A table is made on each node once, and again with an index that is new.
func TestTablesAreMadeOnEachNodeOnce(t *testing.T) {
	s := newStage(t)
	s.register("a", "fake", cluster.Primary)
	a := &plain{Driver: memory(t)}
	d := driver(t, s, of(map[string]db.Driver{"a": a}))
	get := func() {
		t.Helper()
		if _, err := d.Get(t.Context(), "things", "1"); !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	ensure := func(spec db.TableSpec) {
		t.Helper()
		if err := d.Ensure(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	ensure(db.TableSpec{Name: "things"})
	get()
	made := len(a.ensured)
	get()
	if len(a.ensured) != made {
		t.Errorf("%d times made, want %d: it was there", len(a.ensured), made)
	}
	ensure(db.TableSpec{Name: "things", FullText: []string{"title"}})
	get()
	if len(a.ensured) != made+2 {
		t.Errorf("%d times made, want %d: there is a new index", len(a.ensured), made+2)
	}
	a.fail = map[string]error{"": fault.Denied}
	ensure2 := d.Ensure(t.Context(), db.TableSpec{Name: "other"})
	if !errors.Is(ensure2, fault.Denied) {
		t.Errorf("Ensure = %v, want what the node says", ensure2)
	}
	if _, err := d.Get(t.Context(), "other", "1"); !errors.Is(err, fault.Denied) {
		t.Errorf("Get of a table that can't be made = %v, want what the node says", err)
	}
}

// batcher is a node that takes writes together.
type batcher struct {
	plain
	errs []error
}

func (b *batcher) Write(context.Context, string, []db.Write) []error { return b.errs }

// Each write has the error of its own. Only if no write was done, they go to the next node.
func TestWritesTogether(t *testing.T) {
	writes := []db.Write{{Record: &db.Record{ID: "1"}}, {ID: "2", Condition: db.Condition{Version: 7}}}
	down := fault.Markf(fault.Unavailable, "down")
	for name, c := range map[string]struct {
		first db.Driver
		want  []error
		next  string
	}{
		"one by one":           {&plain{fail: map[string]error{}}, []error{nil, fault.NotFound}, ""},
		"together":             {&batcher{errs: []error{nil, fault.Conflict}}, []error{nil, fault.Conflict}, ""},
		"one is not done":      {&plain{fail: map[string]error{"1": down}}, []error{fault.Unavailable, fault.NotFound}, ""},
		"the other is not":     {&batcher{errs: []error{nil, down}}, []error{nil, fault.Unavailable}, ""},
		"none is done":         {&plain{fail: map[string]error{"1": down, "2": down}}, []error{nil, fault.NotFound}, "put 1, delete 2 7"},
		"none of those is":     {&batcher{errs: []error{down, down}}, []error{nil, fault.NotFound}, "put 1, delete 2 7"},
		"the table isn't made": {&plain{fail: map[string]error{"": fault.Denied}}, []error{fault.Denied, fault.Denied}, ""},
	} {
		s := newStage(t)
		s.register("a", "fake", cluster.Primary)
		s.register("b", "fake", cluster.Primary)
		next := &plain{Driver: memory(t)}
		switch n := c.first.(type) {
		case *plain:
			n.Driver = memory(t)
		case *batcher:
			n.Driver = memory(t)
		}
		d := driver(t, s, of(map[string]db.Driver{"a": c.first, "b": next}))
		d.Ensure(t.Context(), db.TableSpec{Name: "things"}) // fails where it is to fail
		got := d.(dbdriver.Batcher).Write(t.Context(), "things", writes)
		for i := range writes {
			if !errors.Is(got[i], c.want[i]) || c.want[i] == nil && got[i] != nil {
				t.Errorf("%s: write %d: %v, want %v", name, i, got[i], c.want[i])
			}
		}
		if at := strings.Join(next.written, ", "); at != c.next {
			t.Errorf("%s: the next node was sent %q, want %q", name, at, c.next)
		}
	}
}

// What only some drivers can do is unsupported, or unknown, where a node can't.
func TestAbilitiesOfTheNodes(t *testing.T) {
	s := newStage(t)
	s.register("a", "fake", cluster.Primary)
	d := driver(t, s, of(map[string]db.Driver{"a": &plain{Driver: memory(t)}}))
	if _, err := d.(dbdriver.Explainer).Explain(t.Context(), "things", db.Query{}); !errors.Is(err, fault.Unsupported) {
		t.Errorf("Explain = %v, want Unsupported", err)
	}
	if _, err := d.(dbdriver.Transactor).Begin(t.Context(), 0); !errors.Is(err, fault.Unsupported) {
		t.Errorf("Begin = %v, want Unsupported", err)
	}
	if there, err := d.(dbdriver.Indexer).HasIndex(t.Context(), "things", nil); there || err != nil {
		t.Errorf("HasIndex = %v, %v, want no", there, err)
	}
}

// mute is a discovery that does not answer, or only to say that it can't.
type mute struct {
	discovery.Discovery
	err error
}

func (m mute) Watch(ctx context.Context, _ string) iter.Seq2[discovery.Snapshot, error] {
	return func(yield func(discovery.Snapshot, error) bool) {
		if !yield(discovery.Snapshot{Instances: []discovery.Instance{{ID: "a", Labels: map[string]string{"driver": "fake"}}}}, nil) || m.err != nil && !yield(discovery.Snapshot{}, m.err) {
			return
		}
		<-ctx.Done()
	}
}

func TestDiscoveryThatDoesNotAnswer(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "discovery has not answered for db.orders"},
		{errors.New("gone for good"), "discovery of db.orders has ended: gone for good"},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := db.New(cluster.FromDiscovery(mute{err: c.err}, "orders", of(nil)), db.WithDialTimeout(5*time.Second))
			if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want ErrUnavailable: %s", err, c.want)
			}
		})
	}
}

func TestURLsOfNodes(t *testing.T) {
	for _, c := range []struct {
		cluster.Credentials
		want string
	}{
		{cluster.Credentials{}, "mysql://a:1/orders%3F"},
		{cluster.Credentials{User: "u"}, "mysql://u:@a:1/orders%3F"},
		{cluster.Credentials{User: "u@", Password: "p:/"}, "mysql://u%40:p%3A%2F@a:1/orders%3F"},
	} {
		n := cluster.Node{Address: "a:1", Database: "orders?", Credentials: c.Credentials}
		if got := n.URL("mysql"); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
