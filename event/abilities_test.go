package event_test

import (
	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fronts"
)

// The compiler holds what New looks for equal to what package event/driver says.
var (
	_ eventdriver.Featured  = event.Featured(nil)
	_ eventdriver.Adviser   = fronts.Adviser(nil)
	_ eventdriver.Behinder  = event.Behinder(nil)
	_ eventdriver.Trimmer   = event.Trimmer(nil)
	_ eventdriver.Roster    = event.Roster(nil)
	_ eventdriver.Scheduler = event.Scheduler(nil)
	_ eventdriver.Holder    = event.Holder(nil)
	_ eventdriver.Tracker   = event.Tracker(nil)

	_ event.Featured  = eventdriver.Featured(nil)
	_ fronts.Adviser  = eventdriver.Adviser(nil)
	_ event.Behinder  = eventdriver.Behinder(nil)
	_ event.Trimmer   = eventdriver.Trimmer(nil)
	_ event.Roster    = eventdriver.Roster(nil)
	_ event.Scheduler = eventdriver.Scheduler(nil)
	_ event.Holder    = eventdriver.Holder(nil)
	_ event.Tracker   = eventdriver.Tracker(nil)
)
