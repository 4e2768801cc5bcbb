package dashboards

import (
	"encoding/json"
	"fmt"
)

// Dashboard is one of Grafana's, as far as ours need it: its JSON model,
// https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
type Dashboard struct {
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Editable      bool     `json:"editable"`
	Refresh       string   `json:"refresh"`
	Time          Range    `json:"time"`
	Timezone      string   `json:"timezone"`
	Templating    struct {
		List []Variable `json:"list"`
	} `json:"templating"`
	Panels []*Panel `json:"panels"`

	y, x int // where the next panel goes
}

// Range is a time range.
type Range struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Variable is what a user chooses at the top.
type Variable struct {
	Name       string  `json:"name"`
	Label      string  `json:"label"`
	Type       string  `json:"type"`
	Datasource *Source `json:"datasource,omitempty"`
	Query      string  `json:"query"`
	Refresh    int     `json:"refresh"`
	Multi      bool    `json:"multi,omitempty"`
	IncludeAll bool    `json:"includeAll,omitempty"`
	AllValue   string  `json:"allValue,omitempty"`
	Sort       int     `json:"sort,omitempty"`
	Current    any     `json:"current,omitempty"`
}

// Source is a data source.
type Source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Panel is a graph, a number or a row's heading.
type Panel struct {
	ID          int            `json:"id"`
	Type        string         `json:"type"`
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	Datasource  *Source        `json:"datasource,omitempty"`
	GridPos     Grid           `json:"gridPos"`
	Targets     []Target       `json:"targets,omitempty"`
	FieldConfig *FieldConfig   `json:"fieldConfig,omitempty"`
	Options     map[string]any `json:"options,omitempty"`
	Collapsed   *bool          `json:"collapsed,omitempty"` // of a row
}

// Grid is a place on the 24 columns.
type Grid struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

// Target is a query.
type Target struct {
	RefID        string  `json:"refId"`
	Datasource   *Source `json:"datasource"`
	Expr         string  `json:"expr"`
	LegendFormat string  `json:"legendFormat"`
	Instant      bool    `json:"instant,omitempty"`
	Range        bool    `json:"range,omitempty"`
}

// FieldConfig is how values look.
type FieldConfig struct {
	Defaults  map[string]any `json:"defaults"`
	Overrides []any          `json:"overrides"`
}

// prometheus is the data source that the user chose.
var prometheus = &Source{"prometheus", "${datasource}"}

// query is an expression and how its series are called.
type query struct{ expr, legend string }

func newDashboard(uid, title, description string, variables ...Variable) *Dashboard {
	d := &Dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{"go-platform"}, SchemaVersion: 39, Editable: true, Refresh: "30s",
		Time: Range{"now-1h", "now"}, Timezone: "browser",
	}
	d.Templating.List = append([]Variable{{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1}}, variables...)
	return d
}

// choice is a variable with the values of a label.
func choice(name, label, metric, of string) Variable {
	return Variable{
		Name: name, Label: label, Type: "query", Datasource: prometheus, Query: fmt.Sprintf("label_values(%s, %s)", metric, of), Refresh: 2,
		Multi: true, IncludeAll: true, AllValue: ".*", Sort: 1, Current: map[string]any{"text": "All", "value": "$__all"},
	}
}

func (d *Dashboard) add(p *Panel, w, h int) *Panel {
	if d.x+w > 24 {
		d.x, d.y = 0, d.y+h
	}
	p.ID, p.GridPos = len(d.Panels)+1, Grid{d.x, d.y, w, h}
	d.x += w
	if d.x >= 24 {
		d.x, d.y = 0, d.y+h
	}
	d.Panels = append(d.Panels, p)
	return p
}

// row begins a part of the dashboard.
func (d *Dashboard) row(title string) {
	if d.x > 0 {
		d.x, d.y = 0, d.y+8
	}
	closed := false
	d.add(&Panel{Type: "row", Title: title, Collapsed: &closed}, 24, 1)
}

// graph adds a graph over time, three to a line.
func (d *Dashboard) graph(title, description, unit string, queries ...query) {
	p := d.panel("timeseries", title, description, unit, queries, 8, 8)
	p.FieldConfig.Defaults["min"] = 0
	p.FieldConfig.Defaults["custom"] = map[string]any{"fillOpacity": 8, "lineWidth": 1, "showPoints": "never", "spanNulls": false}
	p.Options = map[string]any{
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
}

// number adds the newest value, six to a line. It turns red above bad, or below
// it if bad is negative; 0 is never.
func (d *Dashboard) number(title, description, unit string, bad float64, q query) {
	p := d.panel("stat", title, description, unit, []query{q}, 4, 4)
	p.Targets[0].Instant, p.Targets[0].Range = true, false
	steps := []any{map[string]any{"color": "green", "value": nil}}
	switch {
	case bad > 0:
		steps = append(steps, map[string]any{"color": "red", "value": bad})
	case bad < 0:
		steps = []any{map[string]any{"color": "red", "value": nil}, map[string]any{"color": "green", "value": -bad}}
	}
	p.FieldConfig.Defaults["thresholds"] = map[string]any{"mode": "absolute", "steps": steps}
	p.Options = map[string]any{
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"colorMode":     "value", "graphMode": "none", "textMode": "auto",
	}
}

func (d *Dashboard) panel(kind, title, description, unit string, queries []query, w, h int) *Panel {
	p := &Panel{Type: kind, Title: title, Description: description, Datasource: prometheus,
		FieldConfig: &FieldConfig{Defaults: map[string]any{"unit": unit}, Overrides: []any{}}}
	for i, q := range queries {
		p.Targets = append(p.Targets, Target{RefID: string(rune('A' + i)), Datasource: prometheus, Expr: q.expr, LegendFormat: q.legend, Range: true})
	}
	return d.add(p, w, h)
}

// JSON returns what Grafana imports.
func (d *Dashboard) JSON() []byte {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic(err) // it has no such types
	}
	return append(b, '\n')
}
