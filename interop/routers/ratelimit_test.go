package routers

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// What our servers say of their limits is read by a library for structured
// fields that others wrote.
func TestRateLimitFieldsAreStructured(t *testing.T) {
	var opts []wrapper.Option
	for name, burst := range map[string]int{`a "day" \ of it`: 2, "hour": 100} {
		l, err := limits.TokenBucket(float64(burst)/3600, burst)
		if err != nil {
			t.Fatal(err)
		}
		l, err = limits.Named(name, l)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, wrapper.WithLimit(l))
	}
	w, err := wrapper.New(append(opts, wrapper.WithName("orders"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	srv := httptest.NewServer(w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer srv.Close()
	for n := range int64(3) {
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		limits, policies := members(t, resp.Header.Values("RateLimit")), members(t, resp.Header.Values("RateLimit-Policy"))
		day, policy := limits[`a "day" \ of it`], policies[`a "day" \ of it`]
		if day["r"] != max(1-n, 0) || day["t"] != int64(1800) || policy["q"] != int64(2) || policy["w"] != int64(3600) {
			t.Errorf("answer %d: %v of %v", resp.StatusCode, day, policy)
		}
		if (resp.StatusCode == 200) != (n < 2) {
			t.Errorf("answer %d: %d", n, resp.StatusCode)
		}
	}
}

// members are the parameters of a field's items, by their names.
func members(t *testing.T, lines []string) map[string]map[string]any {
	t.Helper()
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	all := map[string]map[string]any{}
	for _, m := range list {
		item := m.(httpsfv.Item)
		all[item.Value.(string)] = map[string]any{}
		for _, name := range item.Params.Names() {
			v, _ := item.Params.Get(name)
			all[item.Value.(string)][name] = v
		}
	}
	return all
}

// And what such a library writes is understood by our clients.
func TestClientUnderstandsStructuredRateLimit(t *testing.T) {
	for name, c := range map[string]struct {
		remaining int64
		sent      int
	}{"spent": {0, 2}, "not spent": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			item := httpsfv.NewItem(`per "user"`)
			item.Params.Add("pk", []byte("key"))
			item.Params.Add("acme-note", httpsfv.Token("x/y"))
			item.Params.Add("r", c.remaining)
			item.Params.Add("t", int64(1))
			other := httpsfv.NewItem("other")
			other.Params.Add("r", int64(9))
			text, err := httpsfv.Marshal(httpsfv.List{other, item})
			if err != nil {
				t.Fatal(err)
			}
			var sent []time.Time
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				if sent = append(sent, time.Now()); len(sent) == 1 {
					rw.Header().Set("RateLimit", text)
					rw.WriteHeader(429)
				}
			}))
			defer srv.Close()
			w, err := wrapper.New(wrapper.WithName("shop"))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close(t.Context())
			resp, err := w.Client().Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if len(sent) != c.sent || (resp.StatusCode == 200) != (c.sent == 2) {
				t.Fatalf("%q: sent %d times, the last answer %d", text, len(sent), resp.StatusCode)
			}
			if c.sent == 2 && sent[1].Sub(sent[0]) < time.Second {
				t.Errorf("sent again after %v", sent[1].Sub(sent[0]))
			}
		})
	}
}
