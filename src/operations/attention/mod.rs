//! Command Center: reading items and what is done to them, re-checks, what another Command Center is told, two attempts
//! compared, and the live stream.

mod acts;
mod bulk;
mod causes;
mod changed;
mod deliveries;
mod diff;
mod read;
mod recheck;
mod storms;
mod stream;

pub use acts::{ItemAct, act_on_item};
pub use bulk::{
    BulkAct, BulkAnswer, BulkItem, BulkOf, BulkPreview, LARGEST_BULK, Previewed, act_on_items, preview_items,
};
pub use causes::{Causes, Why};
pub use changed::{Changed, changed_around, changed_between};
pub use deliveries::{deliveries, due_deliveries, note_delivery};
pub use diff::{AttemptDiff, AttemptSide, diff_attempts};
pub use read::{Headline, ItemCursor, ItemFilter, ItemPage, ItemView, headline, item, item_groups, item_view, items};
pub use recheck::{Rechecked, recheck};
pub use storms::note_failures;
pub use stream::{Notice, NoticeFilter, NoticeId, NoticeKind, Notices, Watching, watch};
