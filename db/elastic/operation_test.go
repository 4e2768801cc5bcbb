package elastic_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/db/elastic"
	"github.com/micro/go-platform/discovery"
)

// call sends a request as an operator would.
func (s *server) call(t *testing.T, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %v %s", method, path, err, answer)
	}
	return string(answer)
}

// rebuilt moves a table to an index that an operator made, under its users.
func rebuilt(t *testing.T, s *server) {
	_, tb := s.open(t, s.Addr(), "rebuilt")
	r := &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}, Data: []byte("d")}
	if err := tb.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	var have map[string]struct{ Mappings json.RawMessage }
	if err := json.Unmarshal([]byte(s.call(t, http.MethodGet, "/rebuilt__things", "")), &have); err != nil {
		t.Fatal(err)
	}
	s.call(t, http.MethodPut, "/rebuilt__things-2", fmt.Sprintf(`{"settings":{"index":{"number_of_shards":3,"number_of_replicas":0,"max_regex_length":8192}},"mappings":%s}`, have["rebuilt__things-1"].Mappings))
	s.call(t, http.MethodPost, "/rebuilt__things-1/_refresh", "")
	s.call(t, http.MethodPost, "/_reindex?refresh=true", `{"source":{"index":"rebuilt__things-1"},"dest":{"index":"rebuilt__things-2"}}`)
	s.call(t, http.MethodPost, "/_aliases", `{"actions":[{"remove_index":{"index":"rebuilt__things-1"}},{"add":{"index":"rebuilt__things-2","alias":"rebuilt__things"}}]}`)
	before := r.Version
	if err := tb.Update(t.Context(), r); err != nil || r.Version != before+1 {
		t.Errorf("Update: %v, version %d, want %d", err, r.Version, before+1)
	}
	for i := range 20 { // over three shards
		if err := tb.Create(t.Context(), &db.Record{ID: fmt.Sprint(i), Metadata: map[string]any{"n": i}}); err != nil {
			t.Fatal(err)
		}
	}
	var found []string
	for r, err := range tb.All(t.Context(), db.OrderBy("-n"), db.Limit(6)) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, r.ID)
	}
	if got := fmt.Sprint(found); got != "[19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 x]" {
		t.Errorf("found %s", got)
	}
	if _, again := s.open(t, s.Addr(), "rebuilt"); again != nil {
		if got, err := again.Read(t.Context(), "x"); err != nil || string(got.Data) != "d" {
			t.Errorf("opened again: %+v, %v", got, err)
		}
	}
}

func dropped(t *testing.T, s *server) {
	_, tb := s.open(t, s.Addr(), "dropped", elastic.WithPrefix("pre-"))
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	s.call(t, http.MethodDelete, "/pre-dropped__things-1", "")
	_, readErr := tb.Read(t.Context(), "x")
	_, searchErr := tb.Search(t.Context())
	for what, err := range map[string]error{"read": readErr, "search": searchErr, "create": tb.Create(t.Context(), &db.Record{}), "update": tb.Update(t.Context(), &db.Record{ID: "x"}, db.Force()), "delete": tb.Delete(t.Context(), "x")} {
		if !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), "index is gone") {
			t.Errorf("%s: %v, want that the index is gone", what, err)
		}
	}
}

func discovered(t *testing.T, s *server) {
	registry, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if _, err := registry.Register(t.Context(), discovery.Instance{Service: "db.orders", Address: s.Addr(), Labels: map[string]string{cluster.LabelDriver: "elastic"}}); err != nil {
		t.Fatal(err)
	}
	d, err := db.New(cluster.FromDiscovery(registry, "orders", cluster.WithBackend("elastic", func(n cluster.Node) db.Option {
		return elastic.Backend(n.Address, elastic.WithReplicas(0), elastic.WithPrefix(n.Database+"-"))
	})), db.WithDialTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	err = tb.Batch(t.Context(), db.CreateOp(&db.Record{ID: "x", Metadata: map[string]any{"a": "v"}}), db.DeleteOp("none"), db.CreateOp(&db.Record{ID: "y"}))
	var be *db.BatchError
	if !errors.As(err, &be) || len(be.Errs) != 3 || be.Errs[0] != nil || !errors.Is(be.Errs[1], db.ErrNotFound) || be.Errs[2] != nil {
		t.Errorf("a batch through the cluster: %v, want that of write 1 only", err)
	}
	if n, err := tb.Count(t.Context(), db.Where(db.Equal("a", "v"))); err != nil || n != 1 {
		t.Errorf("Count = %d, %v", n, err)
	}
}
