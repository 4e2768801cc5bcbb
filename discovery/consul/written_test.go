package consul

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/consul"
)

// TestWhatWasNeverSentIsNotRemembered: a program that tries to register until the
// agent is there has another owner each time.
func TestWhatWasNeverSentIsNotRemembered(t *testing.T) {
	e := discovery.Entry{Owner: "o", TTL: 1e9, Instance: discovery.Instance{Service: "s", ID: "a", Address: "h:1"}}
	const held = `[{"Node":{},"Service":{"ID":"s~~a","Address":"h","Port":2},"Checks":[]}]`
	for what, c := range map[string]struct {
		registered string // what the agent answers who asks for the id; "": it refuses
		written    int
	}{
		"the agent refuses the question": {"", 0},
		"another has the id":             {held, 0},
		"the answer was no":              {"[]", 1}, // it may have been a proxy's
	} {
		agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && c.registered != "" {
				fmt.Fprint(w, c.registered)
				return
			}
			http.Error(w, "no", http.StatusInternalServerError)
		}))
		defer agent.Close()
		own, err := conn.Open(conn.Config{Address: agent.URL})
		if err != nil {
			t.Fatal(err)
		}
		d := &driver{Conn: own, written: map[string]bool{}}
		err = d.Register(t.Context(), e, func(discovery.Entry) bool { return false })
		if err == nil || len(d.written) != c.written {
			t.Errorf("%s: %v, %d remembered, want an error and %d", what, err, len(d.written), c.written)
		}
		if err := d.Deregister(t.Context(), e); err == nil && c.registered == "" || len(d.written) != 0 {
			t.Errorf("%s: after its goodbye: %v, %d remembered", what, err, len(d.written))
		}
		own.Close()
	}
}
