package consul_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/consul"
	"github.com/micro/go-platform/internal/fault"
)

// answer is one of an agent: a status other than 200, or a document at an index.
type answer struct {
	status, index int
	document      string
}

// agent answers the questions for a key one after another, and lets who asks more wait.
func agent(t *testing.T, answers ...answer) (addr string) {
	t.Helper()
	next := make(chan answer, len(answers))
	for _, a := range answers {
		next <- a
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case a := <-next:
			w.Header().Set("X-Consul-Index", fmt.Sprint(a.index))
			if a.status != 0 {
				http.Error(w, "no", a.status)
				return
			}
			fmt.Fprintf(w, `[{"Key":"app","ModifyIndex":%d,"Value":%q}]`, a.index, base64.StdEncoding.EncodeToString([]byte(a.document)))
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// What a watch delivers, and with what it ends when the agent refuses, or its caller
// has enough.
func TestWhatAWatchDelivers(t *testing.T) {
	for name, c := range map[string]struct {
		answers []answer
		sees    string // of each delivery its revision, or its error's kind
		kind    error  // of the end; nil: the caller's
		says    string
	}{
		"a change":            {[]answer{{0, 7, "{}"}, {0, 9, "{}"}}, "7 9", nil, ""},
		"nothing new":         {[]answer{{0, 7, "{}"}, {0, 7, "{}"}, {0, 8, "{}"}}, "7 8", nil, ""},
		"a key that is not":   {[]answer{{404, 7, ""}, {0, 8, "{}"}}, "not found 8", nil, ""},
		"a key that is gone":  {[]answer{{0, 7, "{}"}, {404, 8, ""}}, "7 not found", nil, ""},
		"it is refused":       {[]answer{{403, 0, ""}}, "", fault.Denied, "127.0.0.1"},
		"it is refused later": {[]answer{{0, 7, "{}"}, {403, 0, ""}}, "7", fault.Denied, "127.0.0.1"},
		"the agent fails":     {[]answer{{0, 7, "{}"}, {500, 0, ""}}, "7", fault.Unavailable, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := consul.Source(agent(t, c.answers...), "app")
			if err := s.(config.Opener).Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer s.(config.Closer).Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var seen []string
			err := s.(config.Watcher).Watch(ctx, func(content config.Content, err error) {
				switch {
				case errors.Is(err, fault.NotFound):
					seen = append(seen, "not found")
				case err != nil:
					seen = append(seen, err.Error())
				default:
					seen = append(seen, content.Revision)
				}
				if c.kind == nil && strings.Join(seen, " ") == c.sees {
					cancel()
				}
			})
			if got := strings.Join(seen, " "); got != c.sees {
				t.Errorf("delivered %q, want %q", got, c.sees)
			}
			if c.kind == nil {
				c.kind = context.Canceled
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the watch ended with %v, want %v that says %q", err, c.kind, c.says)
			}
		})
	}
}
