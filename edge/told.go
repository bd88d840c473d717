package edge

import "time"

// Told is what a device tells of a member for people to look at, besides its
// [State]. Nothing is decided by it, and no record has it.
type Told struct {
	Op       string    // what checks, an agent or tracking found, in the device's own words: "UP", "DOWN 1/2", "MAINT (via shop/s1)"
	Since    time.Time // when it last turned from up to down or back, to the second; zero where the device doesn't say
	Checked  string    // the outcome of the last health check, in the device's own words: "L4CON"; empty without one
	Weighted int       // the weight of its configuration, whatever is set now; 0 where the device doesn't say
}
