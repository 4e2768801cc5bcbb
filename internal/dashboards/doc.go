// Package dashboards writes what operators load into Grafana and Prometheus: the
// folder dashboards at the top of the repository.
//
//	go test ./internal/dashboards -update
//
// Its own tests hold the files to what this package writes, and have promtool
// check and evaluate the rules. examples/quickstart has a real Prometheus scrape
// it and asks for every panel.
package dashboards

// Files returns the content of the files by their names.
func Files() map[string][]byte {
	return map[string][]byte{
		"service.json":   Service().JSON(),
		"router.json":    Router().JSON(),
		"messaging.json": Messaging().JSON(),
		"recording.yml":  yaml(Recording()),
		"alerts.yml":     yaml(Alerts()),
	}
}

// All returns the dashboards.
func All() []*Dashboard { return []*Dashboard{Service(), Router(), Messaging()} }
