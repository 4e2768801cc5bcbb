package zipkin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/trace"
	"github.com/openzipkin/zipkin-go/model"
)

// maxAnswer bounds what is read of one answer of the server.
const maxAnswer = 64 << 20

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// Search asks the server. The server has no pages: what is before the cursor is
// asked for again and left out.
func (d *driver) Search(ctx context.Context, q trace.Query) (trace.Page, error) {
	var answer [][]model.SpanModel
	if !q.TraceID.IsZero() {
		var one []model.SpanModel
		err := d.get(ctx, "/api/v2/trace/"+q.TraceID.String(), &one)
		if errors.Is(err, fault.NotFound) {
			return trace.Page{}, nil
		}
		if err != nil {
			return trace.Page{}, err
		}
		answer = [][]model.SpanModel{one}
	} else if err := d.get(ctx, "/api/v2/traces?"+query(q).Encode(), &answer); err != nil {
		return trace.Page{}, err
	}
	var found []trace.Trace
	for _, spans := range answer {
		if len(spans) == 0 {
			continue
		}
		all := make([]trace.SpanData, len(spans))
		for i := range spans {
			all[i] = fromModel(&spans[i])
		}
		found = append(found, trace.NewTrace(all[0].Context.TraceID, all))
	}
	return trace.Paginate(found, q)
}

// query is q in the server's words.
func query(q trace.Query) url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("serviceName", strings.ToLower(q.Service))
	set("spanName", strings.ToLower(q.Name))
	if q.MinDuration > 0 || q.MaxDuration > 0 {
		set("minDuration", strconv.FormatInt(max(1, q.MinDuration.Microseconds()), 10))
	}
	if q.MaxDuration > 0 {
		set("maxDuration", strconv.FormatInt(q.MaxDuration.Microseconds(), 10))
	}
	var terms []string
	if q.Errors {
		terms = append(terms, "error")
	}
	for _, k := range sortedKeys(q.Tags) {
		terms = append(terms, k+"="+q.Tags[k])
	}
	set("annotationQuery", strings.Join(terms, " and "))
	end := q.Until
	if end.IsZero() {
		end = time.Now().Add(time.Minute) // another clock may be ahead
	}
	if at, _, ok := strings.Cut(q.After, "-"); ok {
		if n, err := strconv.ParseInt(at, 10, 64); err == nil && time.Unix(0, n).Before(end) {
			end = time.Unix(0, n).Add(time.Millisecond)
		}
	}
	set("endTs", strconv.FormatInt(end.UnixMilli(), 10))
	since := end.Add(-24 * time.Hour)
	if !q.Since.IsZero() {
		since = q.Since
	}
	set("lookback", strconv.FormatInt(max(1, end.Sub(since).Milliseconds()), 10))
	limit := cmp.Or(q.Limit, 20)
	set("limit", strconv.Itoa(2*limit+100)) // with room for what starts at the cursor's time
	return v
}

func (d *driver) get(ctx context.Context, path string, into any) error {
	body, err := d.client.get(ctx, path, maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}
