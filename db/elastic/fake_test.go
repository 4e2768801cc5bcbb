package elastic_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/elastic"
)

// fake answers like a server, as far as one table without filters needs it.
type fake struct {
	*httptest.Server

	mu    sync.Mutex
	hook  hook
	seq   int64
	docs  map[string]stored
	made  map[string]bool // indices and aliases
	asked []string        // method, path and query, in order
}

// hook comes before the fake. true: it has answered.
type hook func(w http.ResponseWriter, r *http.Request, body string) bool

type stored struct {
	seq    int64
	source json.RawMessage
}

func newFake() *fake {
	f := &fake{docs: map[string]stored{}, made: map[string]bool{}}
	f.Server = httptest.NewServer(f)
	return f
}

// count counts requests whose line has a part.
func (f *fake) count(part string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, line := range f.asked {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// on sets the hook.
func (f *fake) on(h hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = h
}

// open opens a database on the fake.
func (f *fake) open(opts ...elastic.Option) (db.DB, error) {
	return db.New(elastic.Backend(f.URL, opts...))
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.String())
	h := f.hook
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if h != nil && h(w, r, string(b)) {
		return
	}
	f.answer(w, r, string(b))
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	index, op, _ := strings.Cut(r.URL.Path[1:], "/")
	switch {
	case r.URL.Path == "/":
		fmt.Fprint(w, `{"version":{"number":"2.19.1","distribution":"opensearch"}}`)
	case r.Method == http.MethodPut:
		f.made[strings.TrimSuffix(index, "-1")] = true
		fmt.Fprint(w, `{"acknowledged":true}`)
	case !f.made[index]:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"error":{"type":"index_not_found_exception","reason":"no such index [%s]"},"status":404}`, index)
	case op == "_mapping":
		fmt.Fprintf(w, `{"%s-1":{"mappings":{"_meta":{"go-platform":{"schema":2}}}}}`, index)
	case op == "_refresh":
		fmt.Fprint(w, `{"_shards":{"failed":0}}`)
	case op == "_count":
		fmt.Fprintf(w, `{"count":%d,"_shards":{"failed":0}}`, len(f.docs))
	case op == "_mget":
		f.mget(w, body)
	case op == "_search":
		f.search(w)
	case op == "_bulk":
		f.bulk(w, body)
	}
}

func (f *fake) mget(w io.Writer, body string) {
	var q struct{ IDs []string }
	json.Unmarshal([]byte(body), &q)
	docs := []map[string]any{}
	for _, id := range q.IDs {
		doc := map[string]any{"found": false}
		if s, ok := f.docs[id]; ok {
			doc = map[string]any{"found": true, "_seq_no": s.seq, "_primary_term": 1, "_source": s.source}
		}
		docs = append(docs, doc)
	}
	json.NewEncoder(w).Encode(map[string]any{"docs": docs})
}

// search finds everything, in the order of the ids.
func (f *fake) search(w io.Writer) {
	hits := []map[string]any{}
	ids := []string{}
	for id := range f.docs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		hits = append(hits, map[string]any{"_source": f.docs[id].source})
	}
	json.NewEncoder(w).Encode(map[string]any{"hits": map[string]any{"hits": hits}, "_shards": map[string]any{"failed": 0}})
}

func (f *fake) bulk(w io.Writer, body string) {
	items := []map[string]any{}
	lines := bufio.NewScanner(strings.NewReader(body))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var action map[string]struct {
			ID  string `json:"_id"`
			Seq *int64 `json:"if_seq_no"`
		}
		json.Unmarshal(lines.Bytes(), &action)
		for verb, a := range action {
			old, there := f.docs[a.ID]
			item := map[string]any{"status": 200}
			if verb != "delete" {
				lines.Scan()
			}
			switch {
			case verb == "create" && there, a.Seq != nil && *a.Seq != old.seq:
				item = map[string]any{"status": 409, "error": map[string]any{"type": "version_conflict_engine_exception", "reason": "version conflict"}}
			case verb == "delete" && !there:
				item["status"] = 404
			case verb == "delete":
				delete(f.docs, a.ID)
			default:
				f.seq++
				f.docs[a.ID] = stored{seq: f.seq, source: slices.Clone(lines.Bytes())}
			}
			items = append(items, map[string]any{verb: item})
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"items": items})
}
