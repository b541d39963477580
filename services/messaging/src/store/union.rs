//! One statement for the answers of several that are of one kind, which diesel can't say for any number of them.

use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;

/// How many go into a statement: SQLite takes 500.
pub const MOST: usize = 100;

/// What these answer, together. There is at least one.
pub struct Union<Q>(pub Vec<Q>);

impl<Q: Query> Query for Union<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Union<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<D: diesel::backend::Backend, Q: QueryFragment<D>> QueryFragment<D> for Union<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, D>) -> QueryResult<()> {
        // There is one for each number of parts.
        out.unsafe_to_cache_prepared();
        for (place, part) in self.0.iter().enumerate() {
            // SQLite takes an order and a limit only within.
            out.push_sql(if place == 0 { "select * from (" } else { " union all select * from (" });
            part.walk_ast(out.reborrow())?;
            out.push_sql(") part");
        }
        Ok(())
    }
}
