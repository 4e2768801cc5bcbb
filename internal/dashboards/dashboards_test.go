package dashboards

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the folder dashboards")

const folder = "../../dashboards"

// The files are what this package writes, and there are no others.
func TestFiles(t *testing.T) {
	files := Files()
	for name, want := range files {
		path := filepath.Join(folder, name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not what this package writes (%v): go test ./internal/dashboards -update", name, err)
		}
	}
	there, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range there {
		if _, ok := files[f.Name()]; !ok && f.Name() != "README.md" {
			t.Errorf("%s is written by nobody", f.Name())
		}
	}
}

// What Grafana needs of a dashboard, by its JSON model: Grafana itself is not
// asked.
func TestShapeOfDashboards(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range All() {
		var model struct {
			UID, Title    string
			SchemaVersion int
			Time          Range
			Templating    struct{ List []map[string]any }
			Panels        []map[string]any
		}
		if err := json.Unmarshal(d.JSON(), &model); err != nil {
			t.Fatal(err)
		}
		if model.UID == "" || len(model.UID) > 40 || uids[model.UID] || model.Title == "" || model.SchemaVersion < 36 || model.Time.From == "" || model.Time.To == "" {
			t.Errorf("%s: uid %q, schema %d, time %v", model.Title, model.UID, model.SchemaVersion, model.Time)
		}
		uids[model.UID] = true
		variables := map[string]bool{"__rate_interval": true}
		for _, v := range model.Templating.List {
			if v["name"] == "" || v["type"] == "" || v["query"] == "" {
				t.Errorf("%s: variable %v", model.Title, v)
			}
			variables[v["name"].(string)] = true
		}
		ids, taken := map[any]bool{}, map[[2]int]string{}
		for i, p := range model.Panels {
			panel := d.Panels[i]
			if ids[p["id"]] || panel.Title == "" {
				t.Errorf("%s: panel %v %q", model.Title, p["id"], panel.Title)
			}
			ids[p["id"]] = true
			for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
				for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x > 23 {
						t.Fatalf("%s: %q is on %q, at column %d", model.Title, panel.Title, other, x)
					}
					taken[[2]int{x, y}] = panel.Title
				}
			}
			if panel.Type == "row" {
				continue
			}
			if len(panel.Targets) == 0 || p["fieldConfig"].(map[string]any)["defaults"].(map[string]any)["unit"] == "" || p["datasource"].(map[string]any)["uid"] != "${datasource}" {
				t.Errorf("%s: %q has no query, unit or data source", model.Title, panel.Title)
			}
			refs := map[string]bool{}
			for _, q := range panel.Targets {
				if refs[q.RefID] || q.Expr == "" {
					t.Errorf("%s: %q has the query %q %q", model.Title, panel.Title, q.RefID, q.Expr)
				}
				refs[q.RefID] = true
				for _, m := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
					if !variables[m[1]] {
						t.Errorf("%s: %q uses the variable %s, which is not there", model.Title, panel.Title, m[1])
					}
				}
				for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1) {
					if !strings.Contains(q.Expr, label[1]) {
						t.Errorf("%s: the legend of %q has %s, which the query has not", model.Title, panel.Title, label[1])
					}
				}
			}
		}
	}
}
