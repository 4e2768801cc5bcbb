package router

import "time"

// NodeStats is what is known of one instance.
type NodeStats struct {
	ID       string          `json:"id"`
	Address  string          `json:"address"`
	Picks    uint64          `json:"picks"`             // since it was first seen
	Outcomes [classes]uint64 `json:"outcomes"`          // by Class
	InFlight int             `json:"inFlight"`          // picks that are not Done
	Latency  time.Duration   `json:"latency"`           // moving average
	Success  float64         `json:"success"`           // moving average, 1 is all good
	Weight   float64         `json:"weight"`            // as it counts now: static × slow start × View
	View     float64         `json:"view"`              // what other clients' reports make of it; 1: nothing
	InSubset bool            `json:"inSubset"`          // it is in this client's aperture
	Ejected  bool            `json:"ejected,omitempty"` // out of rotation
	Until    time.Time       `json:"until,omitzero"`    // when an ejected one is tried again
	Reason   string          `json:"reason,omitempty"`  // why it is ejected
	Breaker  State           `json:"breaker"`           // for the method, if they have breakers of their own

	Ejections uint64      `json:"ejections,omitempty"` // how often it was taken out of rotation
	Breakers  [states]int `json:"breakers"`            // how many of its breakers are in each State
	Trips     uint64      `json:"trips,omitempty"`     // how often its breakers opened
}

// Explanation tells how a choice is made.
type Explanation struct {
	Service  string      `json:"service"`
	Strategy string      `json:"strategy"`
	Rule     string      `json:"rule,omitempty"`     // the rule that applied
	Variant  string      `json:"variant,omitempty"`  // its branch, if it does not depend on chance
	Fallback string      `json:"fallback,omitempty"` // the step of the ladder that was taken
	Known    int         `json:"known"`
	Matching int         `json:"matching"` // after labels and rules
	Healthy  int         `json:"healthy"`
	Panic    bool        `json:"panic,omitempty"` // health is ignored
	Nodes    []Candidate `json:"nodes"`           // by id
}

// Candidate is one instance in an Explanation.
type Candidate struct {
	NodeStats
	Matches bool    `json:"matches"`
	Score   float64 `json:"score"`         // lower is better
	Why     string  `json:"why,omitempty"` // why it can't be chosen
}
